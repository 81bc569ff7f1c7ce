"""What is measured of applying a delta: both ways make the file, and memory stays small."""

from pathlib import Path

from bench.delta_apply import Files, files_of, peaks, timed, unpack
from bench.gaussian_gguf import Pair, write_pair
from outrider_edge.releases.delta import apply_delta
from outrider_training.delta import make_delta
from outrider_training.quantize import StorageType


def test_both_ways_make_the_same_file(tmp_path: Path) -> None:
    files = files_of(Pair(kind=StorageType.Q8_0, relative=1e-3, rows=64), tmp_path)
    for make in (unpack, lambda files: apply_delta(files.base, files.delta, files.made)):
        make(files)
        assert files.made.read_bytes() == files.new.read_bytes()
    assert {way: len(runs) for way, runs in timed(files, 2).items()} == {"delta": 2, "full": 2}


def test_applying_takes_a_few_blocks_of_memory_whatever_the_size(tmp_path: Path) -> None:
    files = Files(*(tmp_path / name for name in ("base", "new", "delta", "packed", "made")))
    write_pair(Pair(kind=StorageType.F32, relative=0.0, matrices=16), files.base, files.new)
    make_delta(files.base, files.new, files.delta)
    bare, imported, applied = peaks(files).values()
    assert 0 < bare < imported <= applied
    assert (applied - imported) * (1 << 20) < files.new.stat().st_size / 4
