"""A cloud that does as it likes: it drips, it hangs up, it refuses, it tells news for ever."""

import time
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import closing, contextmanager
from pathlib import Path

import grpc
import trustme

from outrider_edge.client import Address, CloudClient, Network
from outrider_edge.errors import NotOffered
from outrider_edge.ledger import Meter
from outrider_edge.releases.cloud_channel import CloudChannel
from outrider_edge.releases.source import FolderSource, Pace
from outrider_protos.v1 import drafts_pb2 as pb
from outrider_protos.v1 import drafts_pb2_grpc

Refusal = tuple[grpc.StatusCode, str]
Watched = Callable[[], Iterator[pb.News]]


def silent() -> Iterator[pb.News]:
    return iter(())


class OddCloud(drafts_pb2_grpc.DraftChannelServicer):
    """Files come out of a folder, perhaps in drips; what a watcher hears is given. Reports are
    refused while there is a refusal.
    """

    def __init__(self, folder: Path, watched: Watched, *, drips: bool = False) -> None:
        self._folder, self._watched, self._drips = FolderSource(folder), watched, drips
        self.watches = 0
        self.known = ""
        self.refusal: Refusal | None = None
        self.reports: list[pb.DraftReport] = []

    def Fetch(self, request: pb.FetchRequest, context: grpc.ServicerContext) -> Iterator[pb.Piece]:
        try:
            data = b"".join(self._folder.read(request.path))
        except NotOffered:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such file")
        if not self._drips:
            yield pb.Piece(data=data)
            return
        for byte in data:
            time.sleep(0.02)
            yield pb.Piece(data=bytes([byte]))

    def Report(self, request: pb.DraftReport, context: grpc.ServicerContext) -> pb.ReportReceipt:
        if self.refusal is not None:
            context.abort(*self.refusal)
        self.reports.append(request)
        return pb.ReportReceipt()

    def ShowFleet(self, request: pb.FleetRequest, context: grpc.ServicerContext) -> pb.Fleet:
        return pb.Fleet()

    def Watch(self, request: pb.WatchRequest, context: grpc.ServicerContext) -> Iterator[pb.News]:
        self.watches += 1
        self.known = request.known
        return self._watched()


@contextmanager
def served(
    cloud: OddCloud, authority: trustme.CA | None = None, ca: Path | None = None
) -> Iterator[Address]:
    """Over TLS where there is an authority; a device looks for it in the file `ca`."""
    server = grpc.server(futures.ThreadPoolExecutor(4))
    drafts_pb2_grpc.add_DraftChannelServicer_to_server(cloud, server)
    if authority is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials(authority))
    server.start()
    try:
        yield Address(target=f"127.0.0.1:{port}", ca=ca)
    finally:
        server.stop(None).wait(10)


@contextmanager
def channel_of(cloud: OddCloud, pace: Pace = Pace()) -> Iterator[CloudChannel]:
    with served(cloud) as address, closing(Network()) as network:
        client = CloudClient(network, address, Meter(), local_only=False)
        with closing(client):
            yield CloudChannel(client, pace)


def credentials(authority: trustme.CA) -> grpc.ServerCredentials:
    leaf = authority.issue_cert("127.0.0.1")
    chain = b"".join(pem.bytes() for pem in leaf.cert_chain_pems)
    return grpc.ssl_server_credentials([(leaf.private_key_pem.bytes(), chain)])
