"""What a trainer hears of halted releases: which, none, or nothing at all."""

import grpc
import pytest

from outrider_training.cloud_watch import CloudWatch
from tests.simulators.fleet_cloud import FleetCloud, nobody, served


def test_halted_releases_of_a_line_are_heard() -> None:
    cloud = FleetCloud((("demo", 3), ("demo", 5), ("other", 4)))
    with served(cloud) as address, CloudWatch(address) as watch:
        assert watch.halted("demo") == frozenset({3, 5})
        assert watch.halted("strange") == frozenset()
        assert watch.problem is None


def test_a_cloud_that_does_not_say_has_not_said_none() -> None:
    with nobody() as address, CloudWatch(address) as watch:
        assert watch.halted("demo") is None
        assert watch.problem is not None and "no cloud at" in watch.problem


@pytest.mark.parametrize(
    "status", [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED]
)
def test_neither_has_one_that_refuses(status: grpc.StatusCode) -> None:
    with served(FleetCloud(refusal=status)) as address, CloudWatch(address) as watch:
        assert watch.halted("demo") is None
        assert watch.problem is not None


def test_a_cloud_that_serves_no_releases_halts_none() -> None:
    """It may be there to say how busy it is."""
    with served(None) as address, CloudWatch(address) as watch:
        assert watch.halted("demo") == frozenset()
        assert watch.problem is None
