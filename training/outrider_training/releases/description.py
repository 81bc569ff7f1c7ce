"""What a release says of itself, from its file, its gate's report, and who publishes it.

It reads files; where they go it does not know.
"""

import re
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from pydantic import ValidationError
from tuf.api.metadata import TargetFile

from outrider_edge.llama.gguf_header import mould_id, read_header
from outrider_edge.releases.chunks import ChunkPlan
from outrider_protos.fingerprint import fingerprint
from outrider_protos.release import (
    Chunks,
    Form,
    FormKind,
    GateFigures,
    Release,
    Requirements,
    chunk_bytes_for,
)
from outrider_training.errors import ModelUnreadableError
from outrider_training.examination import Report
from outrider_training.releases.errors import EvidenceError
from outrider_training.releases.golden import golden_choices

_RUNTIME: Final = "llama-cpp-python"
_VERSION: Final = re.compile(r"[0-9]+(\.[0-9]+){0,2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What files and reports do not say."""

    target_id: str | None = None
    runtime: str | None = None  # of llama-cpp-python, at least; None: as installed here
    domains: tuple[str, ...] | None = None  # None: those of the report


def describe_full(
    file: Path, report: Report, wishes: Wishes, *, number: int, forms: tuple[str, ...]
) -> Release:
    """Raises EdgeError for a draft that cannot run, ModelUnreadableError, EvidenceError."""
    domains = wishes.domains
    if domains is None:
        domains = tuple(name for name in report.verdict.domains if name)
    golden, chunks, mould = golden_choices(file), chunks_of(file), mould_id(file)
    try:
        return Release(
            number=number,
            replaces_sha256=report.old_sha256,
            mould=mould,
            chunks=chunks,
            forms=forms,
            requirements=_requirements(file, wishes),
            domains=domains,
            gate=_figures(report),
            golden=golden,
        )
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise EvidenceError("what is said of it", f"{where} has no possible value") from error


def describe_form(file: Path, kind: FormKind, base_sha256: str | None) -> Form:
    """A delta or an adapter. Raises ModelUnreadableError."""
    return Form(kind=kind, base_sha256=base_sha256, chunks=chunks_of(file))


def as_target(path: str, file: Path, said: Release | Form) -> TargetFile:
    """For TUF. Raises OSError."""
    target = TargetFile.from_file(path, str(file))
    target.unrecognized_fields["custom"] = said.custom()
    return target


def chunks_of(file: Path) -> Chunks:
    """Raises ModelUnreadableError."""
    try:
        chunk_bytes = chunk_bytes_for(file.stat().st_size)
        plan = ChunkPlan.of(file, chunk_bytes)
    except OSError as error:
        raise ModelUnreadableError(file, error.strerror or str(error)) from error
    return Chunks(chunk_bytes=chunk_bytes, digests=b"".join(plan.digests))


def _requirements(file: Path, wishes: Wishes) -> Requirements:
    header, runtime = read_header(file), wishes.runtime
    return Requirements(
        architecture=header.architecture,
        tokenizer=fingerprint(header.tokenizer()).hex(),
        target_id=wishes.target_id,
        runtime=_installed_runtime() if runtime is None else runtime,
    )


def _installed_runtime() -> str:
    """Without what comes after the three numbers."""
    found = _VERSION.match(version(_RUNTIME))
    assert found is not None
    return found[0]


def _figures(report: Report) -> GateFigures:
    overall = report.verdict.overall
    domains = report.verdict.domains
    return GateFigures(
        answers=overall.answers,
        acceptance=overall.new.acceptance,
        before=overall.old.acceptance,
        difference_low=overall.low,
        tokens_per_s=overall.new.tokens_per_s,
        domains={
            name: (found.new.acceptance, found.old.acceptance) for name, found in domains.items()
        },
    )
