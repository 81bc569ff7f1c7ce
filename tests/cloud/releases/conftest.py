"""What tests of the release channel begin with."""

from pathlib import Path

import pytest

from tests.simulators.repository import SimulatedRepository, example_repository


@pytest.fixture
def repository(tmp_path: Path) -> SimulatedRepository:
    return example_repository(tmp_path / "repository")


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text("anna of-anna\nbert of-bert\ncarl of-carl\n")
    return path
