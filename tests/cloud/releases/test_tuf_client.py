"""What is served is a repository to TUF's own client, which asks for parts as it asks the web."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import grpc
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater

from outrider_protos.v1 import drafts_pb2 as pb
from outrider_protos.v1 import drafts_pb2_grpc
from tests.simulators.channel import WAIT_S, Channel, run
from tests.simulators.repository import SimulatedRepository

BASE = "https://channel/"


class Fetcher(FetcherInterface):
    """Addresses are paths of the channel."""

    def __init__(self, wire: grpc.Channel) -> None:
        self._stub = drafts_pb2_grpc.DraftChannelStub(wire)

    def _fetch(self, url: str) -> Iterator[bytes]:
        request = pb.FetchRequest(path=url.removeprefix(BASE))
        try:
            for piece in self._stub.Fetch(request, timeout=WAIT_S):
                yield piece.data
        except grpc.RpcError as error:
            assert isinstance(error, grpc.Call)
            assert error.code() is grpc.StatusCode.NOT_FOUND, error
            raise DownloadHTTPError("absent", 404) from error


def update(address: str, root: bytes, folder: Path) -> bytes:
    """The second release, as a device with this root gets it."""
    with grpc.insecure_channel(address) as wire:
        updater = Updater(
            str(folder),
            f"{BASE}metadata/",
            str(folder),
            f"{BASE}targets/",
            fetcher=Fetcher(wire),
            bootstrap=root,
        )
        updater.refresh()
        target = updater.get_targetinfo("main/2.gguf")
        assert target is not None
        return Path(updater.download_target(target)).read_bytes()


def test_a_tuf_client_gets_a_release(repository: SimulatedRepository, tmp_path: Path) -> None:
    root = (repository.folder / "metadata" / "1.root.json").read_bytes()
    (tmp_path / "device").mkdir()

    async def scene(channel: Channel) -> bytes:
        address = f"localhost:{channel.server.address.port}"
        return await asyncio.to_thread(update, address, root, tmp_path / "device")

    assert run(repository, scene) == b"second draft"
