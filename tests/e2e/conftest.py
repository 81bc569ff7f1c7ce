"""One cloud process and one loaded target for all end-to-end tests."""

from collections.abc import Iterator

import pytest

from outrider_edge.device import Device
from tests.e2e.pair import CloudProcess, Judge, device_for, make_judge


@pytest.fixture(scope="session")
def cloud() -> Iterator[str]:
    with CloudProcess("demo") as process:
        yield process.address


@pytest.fixture(scope="session")
def device(cloud: str) -> Iterator[Device]:
    with device_for(cloud) as device:
        yield device


@pytest.fixture(scope="session")
def judge() -> Judge:
    return make_judge()
