"""A repository that has begun, and drafts to publish there."""

from pathlib import Path

import pytest

from tests.training.releases.scene import Scene, gate_report, learnt, tiny_draft


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path).begin()


@pytest.fixture
def factory(tmp_path: Path) -> Path:
    """The file that devices come with."""
    return tiny_draft(tmp_path)


@pytest.fixture
def second(factory: Path) -> Path:
    """Learnt from the factory's, with a report against it."""
    made = learnt(factory, "second.gguf", 1)
    gate_report(made.parent, made, factory)
    return made
