"""What became of a release is told until the cloud has taken it, or says that it never can."""

import resource
from collections.abc import Iterator
from concurrent import futures
from contextlib import closing, contextmanager
from pathlib import Path

import grpc
import pytest

from outrider_edge.client import Address, CloudClient, Network
from outrider_edge.config import SHIPPED_DRAFT
from outrider_edge.errors import StoreFailed
from outrider_edge.ledger import Meter
from outrider_edge.releases.cloud_channel import CloudChannel
from outrider_edge.releases.messenger import Messenger, keep_word
from outrider_edge.releases.report import Fate
from outrider_edge.releases.store import DraftStore
from outrider_protos.v1 import drafts_pb2 as pb
from outrider_protos.v1 import drafts_pb2_grpc

Refusal = tuple[grpc.StatusCode, str]


class ListeningCloud(drafts_pb2_grpc.DraftChannelServicer):
    """Refuses while there is a refusal, then takes what it is told."""

    def __init__(self) -> None:
        self.refusal: Refusal | None = None
        self.taken: list[pb.DraftReport] = []

    def Report(self, request: pb.DraftReport, context: grpc.ServicerContext) -> pb.ReportReceipt:
        if self.refusal is not None:
            context.abort(*self.refusal)
        self.taken.append(request)
        return pb.ReportReceipt()


@contextmanager
def telling(cloud: ListeningCloud, store: DraftStore) -> Iterator[Messenger]:
    server = grpc.server(futures.ThreadPoolExecutor(2))
    drafts_pb2_grpc.add_DraftChannelServicer_to_server(cloud, server)
    address = Address(target=f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
    server.start()
    with closing(Network()) as network:
        client = CloudClient(network, address, Meter(), local_only=False)
        with closing(client):
            yield Messenger(store, CloudChannel(client), "demo")
    server.stop(None).wait(10)


@pytest.fixture
def store(tmp_path: Path) -> DraftStore:
    return DraftStore(tmp_path / "drafts", SHIPPED_DRAFT)


@pytest.mark.parametrize(
    "refusal",
    [
        (grpc.StatusCode.UNAUTHENTICATED, "a token that was exchanged"),
        (grpc.StatusCode.UNAVAILABLE, "CERTIFICATE_VERIFY_FAILED"),
        (grpc.StatusCode.PERMISSION_DENIED, "says something on the way"),
        (grpc.StatusCode.UNIMPLEMENTED, "a cloud that offers no releases today"),
        (grpc.StatusCode.NOT_FOUND, "a release that it has not read of yet"),
    ],
    ids=lambda refusal: refusal[0].name,
)
def test_what_may_be_put_right_loses_no_verdict(store: DraftStore, refusal: Refusal) -> None:
    cloud = ListeningCloud()
    with telling(cloud, store) as messenger:
        messenger.say(2, Fate.REVERTED, ())
        cloud.refusal = refusal
        messenger.deliver()
        cloud.refusal = None
        messenger.deliver()
        messenger.deliver()
    assert [(said.release, said.state) for said in cloud.taken] == [(2, pb.DRAFT_STATE_REVERTED)]


def test_what_makes_no_sense_to_the_cloud_is_said_once(store: DraftStore) -> None:
    cloud = ListeningCloud()
    with telling(cloud, store) as messenger:
        messenger.say(2, Fate.REVERTED, ())
        cloud.refusal = (grpc.StatusCode.INVALID_ARGUMENT, "report.line is no line")
        messenger.deliver()
        cloud.refusal = None
        messenger.deliver()
    assert cloud.taken == []


def test_a_full_disk_leaves_the_word_before(store: DraftStore) -> None:
    cloud = ListeningCloud()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with telling(cloud, store) as messenger:
        keep_word(store, "demo", 2, Fate.REVERTED, ())
        resource.setrlimit(resource.RLIMIT_FSIZE, (16, hard))
        try:
            with pytest.raises(StoreFailed):
                keep_word(store, "demo", 3, Fate.ON_TRIAL, ())
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        messenger.deliver()
    assert [said.release for said in cloud.taken] == [2]
