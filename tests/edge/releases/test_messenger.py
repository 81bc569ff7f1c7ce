"""What became of a release is told until the cloud has taken it, or says that it never can."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from outrider_edge.config import SHIPPED_DRAFT
from outrider_edge.errors import StoreFailed
from outrider_edge.releases.messenger import Messenger, keep_word
from outrider_edge.releases.report import Fate
from outrider_edge.releases.store import DraftStore
from outrider_protos.v1 import drafts_pb2 as pb
from tests.simulators.odd_cloud import OddCloud, Refusal, channel_of, silent


@pytest.fixture
def cloud(tmp_path: Path) -> OddCloud:
    return OddCloud(tmp_path, silent)


@contextmanager
def telling(cloud: OddCloud, store: DraftStore) -> Iterator[Messenger]:
    with channel_of(cloud) as channel:
        yield Messenger(store, channel, "demo")


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
def test_what_may_be_put_right_loses_no_verdict(
    cloud: OddCloud, store: DraftStore, refusal: Refusal
) -> None:
    with telling(cloud, store) as messenger:
        messenger.say(2, Fate.REVERTED, ())
        cloud.refusal = refusal
        messenger.deliver()
        cloud.refusal = None
        messenger.deliver()
        messenger.deliver()
    assert [(said.release, said.state) for said in cloud.reports] == [(2, pb.DRAFT_STATE_REVERTED)]


def test_what_makes_no_sense_to_the_cloud_is_said_once(cloud: OddCloud, store: DraftStore) -> None:
    with telling(cloud, store) as messenger:
        messenger.say(2, Fate.REVERTED, ())
        cloud.refusal = (grpc.StatusCode.INVALID_ARGUMENT, "report.line is no line")
        messenger.deliver()
        cloud.refusal = None
        messenger.deliver()
    assert cloud.reports == []


def test_a_full_disk_leaves_the_word_before(cloud: OddCloud, store: DraftStore) -> None:
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
    assert [said.release for said in cloud.reports] == [2]
