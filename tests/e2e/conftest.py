"""One cloud process and one loaded target for all end-to-end tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from outrider_edge.config import SHIPPED_DRAFT
from outrider_edge.device import Device
from outrider_training.adapter import write_adapter
from outrider_training.lora import add_lora
from outrider_training.student import load_student
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


@pytest.fixture(scope="session")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter that ruins the shipped draft."""
    adapted = add_lora(load_student(SHIPPED_DRAFT), 8)
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weights in adapted.named_parameters():
            if "lora_" in name:
                weights.normal_(0.0, 0.3)
    path = tmp_path_factory.mktemp("adapters") / "noise.gguf"
    write_adapter(adapted, SHIPPED_DRAFT, path)
    return path
