"""Deltas of small updates are as small as was promised."""

from pathlib import Path

import numpy as np
import pytest

from bench.changes import changes
from bench.delta_size import measure
from bench.gaussian_gguf import Pair, write_pair
from outrider_training.quantize import StorageType


@pytest.mark.parametrize("from_file", [False, True])
@pytest.mark.parametrize("relative", [1e-3, 1e-2])
@pytest.mark.parametrize(("kind", "most"), [(StorageType.Q4_K, 0.28), (StorageType.Q8_0, 0.40)])
def test_the_delta_of_a_small_update_is_small(
    kind: StorageType, most: float, relative: float, *, from_file: bool, tmp_path: Path
) -> None:
    pair = Pair(kind=kind, relative=relative, from_file=from_file, rows=256)
    sizes = measure(pair, tmp_path)
    assert sizes.difference <= most
    assert sizes.difference < sizes.exclusive_or


def test_an_update_is_as_large_as_was_asked(tmp_path: Path) -> None:
    pair = Pair(kind=StorageType.F32, relative=0.01, matrices=3, rows=64)
    write_pair(pair, tmp_path / "base", tmp_path / "new")
    found = changes(tmp_path / "base", tmp_path / "new")
    assert len(found) == 3
    assert list(found.values()) == pytest.approx([0.01] * 3, rel=0.02)


def test_no_update_changes_no_byte_of_what_was_made_of_the_same_weights(tmp_path: Path) -> None:
    write_pair(Pair(kind=StorageType.Q4_K, relative=0.0), tmp_path / "base", tmp_path / "new")
    base, new = (np.fromfile(tmp_path / name, np.uint8) for name in ("base", "new"))
    assert np.array_equal(base, new)
