"""How fast a device makes a file of half a billion weights out of a delta, and in how much memory.

    python -m bench.delta_apply --kind q8_0 --core 1 --scratch build

Compared with what has to be done for a compressed full file: unpack and write it, no more. Both
read from and write to the page cache, in turns on one core. Needs five times the file on the disk.
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import gguf
import zstandard

from bench.gaussian_gguf import Pair, write_pair
from bench.pin import Place
from bench.report import Report
from bench.samples import ratio_of_medians
from outrider_edge.releases.delta import apply_delta
from outrider_training.delta import make_delta
from outrider_training.quantize import StorageType

LEVEL = 19
MIB = 1 << 20
_PEAK = "print(next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1])"
_IMPORT = (
    "import sys; from pathlib import Path; from outrider_edge.releases.delta import apply_delta"
)
_APPLY = "apply_delta(*map(Path, sys.argv[1:]))"


@dataclass(frozen=True, slots=True)
class Files:
    """A draft, the next one, and the two ways to get it."""

    base: Path
    new: Path
    delta: Path
    packed: Path
    made: Path  # what a run writes


def files_of(pair: Pair, folder: Path) -> Files:
    """Takes minutes for hundreds of megabytes: both are packed at the highest usual level."""
    files = Files(*(folder / name for name in ("base", "new", "delta", "packed", "made")))
    write_pair(pair, files.base, files.new)
    make_delta(files.base, files.new, files.delta)
    with files.new.open("rb") as source, files.packed.open("wb") as out:
        zstandard.ZstdCompressor(level=LEVEL).copy_stream(source, out)
    return files


def unpack(files: Files) -> None:
    """The full file, without a look at what is in it."""
    with files.packed.open("rb") as source, files.made.open("wb") as out:
        zstandard.ZstdDecompressor().copy_stream(source, out)


def timed(files: Files, repeats: int) -> dict[str, list[float]]:
    """Seconds of each run, by way. The first of each warms everything."""
    ways: dict[str, Callable[[], None]] = {
        "delta": lambda: apply_delta(files.base, files.delta, files.made),
        "full": lambda: unpack(files),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for repeat in range(repeats + 1):
        for way in random.Random(repeat).sample(list(ways), len(ways)):
            files.made.unlink(missing_ok=True)
            began_s = time.perf_counter()
            ways[way]()
            if repeat:
                seconds[way].append(time.perf_counter() - began_s)
    return seconds


def peaks(files: Files) -> dict[str, float]:
    """MiB that a process has resident at most: bare, with what is imported, and applying.

    A child's `ru_maxrss` begins with its parent's, so each reads its own.
    """
    programs = {
        "a bare interpreter": "",
        "with numpy, zstandard and the module": _IMPORT,
        "having applied the delta": f"{_IMPORT}\n{_APPLY}",
    }
    paths = [str(path) for path in (files.base, files.delta, files.made)]
    found = {}
    for name, program in programs.items():
        command = [sys.executable, "-c", f"{program}\n{_PEAK}", *paths]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found[name] = int(said) * 1024 / MIB
    return found


def tell(report: Report, files: Files, seconds: Mapping[str, list[float]]) -> None:
    size = files.new.stat().st_size
    ratio = ratio_of_medians(seconds["full"], seconds["delta"])
    rows = []
    for way, path in (("delta", files.delta), ("full", files.packed)):
        taken = seconds[way]
        share = path.stat().st_size / size
        speeds = f"{size / median(taken) / 1e6:,.0f}"
        times = f"{median(taken):.3f} ({min(taken):.3f} to {max(taken):.3f})"
        rows.append([way, f"{share:.3f}", times, speeds])
    report.table(["", "size over file", "s, median (all)", "MB/s written"], rows)
    report.say(f"Speed of the delta over that of the full file: {ratio}; 0.5 is wanted.")
    report.table(
        ["a process", "MiB resident at most"],
        [[name, f"{peak:.1f}"] for name, peak in peaks(files).items()],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed and memory of applying a delta.")
    parser.add_argument("--kind", type=StorageType, default=StorageType.Q8_0, help="such as q4_k")
    parser.add_argument("--millions", type=int, default=500, help="of weights, about")
    parser.add_argument("--relative", type=float, default=1e-2, help="size of the update")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--scratch", type=Path, help="a folder with room.  [the system's]")
    parser.add_argument("--output", type=Path, help="a markdown file; else standard output")
    arguments = parser.parse_args()
    Place(core=arguments.core).take()
    pair = Pair(
        kind=arguments.kind,
        relative=arguments.relative,
        matrices=arguments.millions * 10**6 // MIB,
    )
    block, block_bytes = gguf.GGML_QUANT_SIZES[pair.kind.ggml]
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        needed = 5 * pair.matrices * MIB // block * block_bytes
        if shutil.disk_usage(folder).free < needed:
            parser.error(f"the scratch folder has not the {needed:,} bytes that this takes")
        files = files_of(pair, Path(folder))
        seconds = timed(files, arguments.repeats)
        report = Report("Applying a delta", sys.argv)
        report.say(
            f"{pair.matrices} matrices of 1,024 by 1,024 in {pair.kind.name}, "
            f"{files.new.stat().st_size:,} bytes; an update of {pair.relative:g}, both ways packed "
            f"by zstd at level {LEVEL} (zstandard {zstandard.__version__}). "
            f"{arguments.repeats} runs of each, in turns on one core, no fsync."
        )
        tell(report, files, seconds)
    report.write(arguments.output)


if __name__ == "__main__":
    main()
