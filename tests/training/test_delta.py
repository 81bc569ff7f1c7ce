"""A delta gives back every byte, or is refused by name."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from outrider_edge.errors import BadRelease
from outrider_edge.releases.delta import BLOCK_BYTES, DeltaHead, apply_delta, difference
from outrider_training.delta import make_delta
from outrider_training.demo_models import PairPaths
from outrider_training.errors import MouldMismatchError, TargetUnwritableError
from outrider_training.mould import cast
from outrider_training.student import load_student

_HEAD_BYTES = len(DeltaHead(1, 0, bytes(32), bytes(32)).packed())


@given(st.binary(max_size=300))
def test_the_difference_is_undone_by_adding_it(base: bytes) -> None:
    new = bytes(reversed(base))
    added = np.frombuffer(base, np.uint8) + np.frombuffer(difference(base, new), np.uint8)
    assert added.tobytes() == new


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES - 7])
def test_every_byte_comes_back(size: int, tmp_path: Path) -> None:
    draw = np.random.default_rng(size)
    base, new, made = tmp_path / "base", tmp_path / "new", tmp_path / "made"
    before = draw.integers(0, 256, size, np.uint8)
    base.write_bytes(before.tobytes())
    changed = draw.random(size) < 0.1
    new.write_bytes((before + changed * draw.integers(0, 3, size, np.uint8)).astype("u1").tobytes())
    packed = make_delta(base, new, tmp_path / "delta")
    apply_delta(base, tmp_path / "delta", made)
    assert made.read_bytes() == new.read_bytes()
    assert packed < max(200, 0.3 * size)


def test_a_small_update_of_the_shipped_draft_is_small(shipped: PairPaths, tmp_path: Path) -> None:
    student = load_student(shipped.draft)
    with torch.no_grad():
        student.model.layers[0].mlp.up_proj.weight *= 1.01
    cast(student, shipped.draft, tmp_path / "new.gguf")
    size = make_delta(shipped.draft, tmp_path / "new.gguf", tmp_path / "delta")
    assert size < shipped.draft.stat().st_size / 20
    apply_delta(shipped.draft, tmp_path / "delta", tmp_path / "made.gguf")
    assert (tmp_path / "made.gguf").read_bytes() == (tmp_path / "new.gguf").read_bytes()


@pytest.fixture
def delta(tmp_path: Path) -> Path:
    (tmp_path / "base").write_bytes(b"old" * 1000)
    (tmp_path / "new").write_bytes(b"new" * 1000)
    make_delta(tmp_path / "base", tmp_path / "new", tmp_path / "delta")
    return tmp_path / "delta"


@given(data=st.data())
def test_a_damaged_delta_never_makes_another_file(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("delta")
    (folder / "base").write_bytes(b"old" * 50)
    (folder / "new").write_bytes(b"new" * 50)
    make_delta(folder / "base", folder / "new", folder / "delta")
    whole = (folder / "delta").read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    flipped = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    broken = data.draw(st.sampled_from([flipped, whole[:at], whole + b"x"]))
    (folder / "broken").write_bytes(broken)
    try:
        apply_delta(folder / "base", folder / "broken", folder / "made")
    except BadRelease:
        return
    assert (folder / "made").read_bytes() == (folder / "new").read_bytes()


@pytest.mark.parametrize(
    ("base", "reason"),
    [(b"odd" * 1000, "another file"), (b"old", "longer file"), (b"old" * 2000, "another file")],
)
def test_another_base_is_refused(base: bytes, reason: str, delta: Path, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(base)
    with pytest.raises(BadRelease, match=reason):
        apply_delta(tmp_path / "other", delta, tmp_path / "made")


def test_a_delta_that_promises_another_file_is_refused(delta: Path, tmp_path: Path) -> None:
    """Its base is right, so that is not what is blamed."""
    whole = bytearray(delta.read_bytes())
    whole[_HEAD_BYTES - 1] ^= 1  # the end of the result's digest
    delta.write_bytes(whole)
    with pytest.raises(BadRelease, match="does not make"):
        apply_delta(tmp_path / "base", delta, tmp_path / "made")


def test_a_block_that_would_swell_is_refused_before_it_does(delta: Path, tmp_path: Path) -> None:
    """A few kilobytes can say that they hold a gigabyte, for which room would be made."""
    frame = zstandard.compress(bytes(64 * BLOCK_BYTES))
    head = delta.read_bytes()[:_HEAD_BYTES]
    delta.write_bytes(head + len(frame).to_bytes(4, "little") + frame)
    tracemalloc.start()
    try:
        with pytest.raises(BadRelease, match="not as long"):
            apply_delta(tmp_path / "base", delta, tmp_path / "made")
        assert tracemalloc.get_traced_memory()[1] < BLOCK_BYTES
    finally:
        tracemalloc.stop()


def test_files_of_two_moulds_have_no_delta(delta: Path, tmp_path: Path) -> None:
    (tmp_path / "longer").write_bytes(b"longer" * 1000)
    with pytest.raises(MouldMismatchError, match="two moulds"):
        make_delta(tmp_path / "base", tmp_path / "longer", tmp_path / "other")
    with pytest.raises(TargetUnwritableError):
        make_delta(tmp_path / "base", tmp_path / "new", tmp_path / "nowhere" / "delta")
