"""How large a delta is against the file it spares, by type and by the relative size of the update.

    python -m bench.delta_size

Weights and updates are Gaussian: real updates are in `bench.delta_updates`. The project's own
delta is the bytewise difference; the exclusive or is packed in the very same way beside it.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zstandard

from bench.changes import changes
from bench.gaussian_gguf import Pair, write_pair
from bench.report import Report, spread
from outrider_training.delta import make_delta
from outrider_training.quantize import StorageType

RELATIVE = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
FLOATS = (StorageType.F16, StorageType.F32)
TYPES = (
    *(StorageType.Q4_0, StorageType.Q4_K, StorageType.Q5_K, StorageType.Q6_K, StorageType.Q8_0),
    *FLOATS,
)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Deltas over the file, and the share of its bytes that changed."""

    difference: float
    exclusive_or: float
    changed_bytes: float
    stored: float  # relative size of the update as far as the newer file shows it


def measure(pair: Pair, folder: Path) -> Sizes:
    """Files are left in `folder`, the same ones every time."""
    base, new, delta = folder / "base.gguf", folder / "new.gguf", folder / "delta"
    zeros, mixed = folder / "zeros", folder / "mixed"
    write_pair(pair, base, new)
    before, after = np.fromfile(base, np.uint8), np.fromfile(new, np.uint8)
    # What differs from nothing by the exclusive or is the exclusive or.
    zeros.write_bytes(bytes(before.size))
    mixed.write_bytes((before ^ after).tobytes())
    return Sizes(
        make_delta(base, new, delta) / before.size,
        make_delta(zeros, mixed, delta) / before.size,
        float((before != after).mean()),
        max(changes(base, new).values()),
    )


def measured(
    kinds: Sequence[StorageType], seeds: int, folder: Path, *, from_file: bool
) -> dict[StorageType, list[list[Sizes]]]:
    """By type: for every relative size what each seed gave."""
    found: dict[StorageType, list[list[Sizes]]] = {}
    for kind in kinds:
        pairs = [
            [
                Pair(kind=kind, relative=relative, from_file=from_file, seed=seed)
                for seed in range(seeds)
            ]
            for relative in RELATIVE
        ]
        found[kind] = [[measure(pair, folder) for pair in same] for same in pairs]
        print(kind.name, found[kind], file=sys.stderr, flush=True)
    return found


def tell(report: Report, found: dict[StorageType, list[list[Sizes]]]) -> None:
    """A table for every figure: a row for each type, a column for each relative size."""
    titles = {
        "difference": "Delta of differences over file:",
        "exclusive_or": "Delta of exclusive or over file:",
        "changed_bytes": "Share of bytes that changed:",
        "stored": "Relative size of the update that the newer file shows:",
    }
    for name, title in titles.items():
        report.say(title)
        rows = [
            [kind.name, *(_cell([getattr(sizes, name) for sizes in same]) for same in columns)]
            for kind, columns in found.items()
        ]
        report.table(["", *(f"{relative:g}" for relative in RELATIVE)], rows)


def _cell(values: Sequence[float]) -> str:
    """Updates that hardly arrive have more zeros than three digits."""
    largest = max(values)
    if largest >= 0.01:
        return spread(values)
    return np.format_float_positional(largest, precision=2, fractional=False, trim="-")


def main() -> None:
    parser = argparse.ArgumentParser(description="Sizes of deltas, by type and update.")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="a markdown file; else standard output")
    arguments = parser.parse_args()
    report = Report("Sizes of deltas", sys.argv)
    report.say(
        "One matrix of 1,024 by 1,024 in a GGUF file; columns are the deviation of the update over "
        f"that of the weights. zstd level 19 (zstandard {zstandard.__version__}) in blocks of a "
        f"MiB; mean and standard deviation over {arguments.seeds} seeds, below 0.01 the largest."
    )
    with tempfile.TemporaryDirectory() as folder:
        report.heading("Both files made of the weights of one student")
        tell(report, measured(TYPES, arguments.seeds, Path(folder), from_file=False))
        report.heading("The newer file learnt from what the older one says")
        quantised = [kind for kind in TYPES if kind not in FLOATS]
        tell(report, measured(quantised, arguments.seeds, Path(folder), from_file=True))
    report.write(arguments.output)


if __name__ == "__main__":
    main()
