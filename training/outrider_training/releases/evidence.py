"""A gate's report as a reason to release a file, or as none.

It reads what `gate_report` wrote. How drafts are judged it does not know.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from outrider_training.examination import Report
from outrider_training.manifest import sha256_of
from outrider_training.releases.errors import EvidenceError

_MAX_REPORT_BYTES: Final = 1 << 20
_REPORT: Final = TypeAdapter(Report)


def read_evidence(report: Path, file: Path) -> Report:
    """A report that lets this very file pass. Raises EvidenceError, ModelUnreadableError."""
    try:
        with report.open("rb") as opened:
            data = opened.read(_MAX_REPORT_BYTES + 1)
    except OSError as error:
        raise EvidenceError(report.name, error.strerror or str(error)) from error
    if len(data) > _MAX_REPORT_BYTES:
        raise EvidenceError(report.name, "it is longer than any report")
    try:
        found = _REPORT.validate_json(data, strict=True)
    except ValidationError as error:
        raise EvidenceError(report.name, "it is no report of outrider-train gate") from error
    if not found.verdict.passed:
        raise EvidenceError(report.name, f"the gate refused it: {found.verdict.objections[0]}")
    if found.new_sha256 != sha256_of(file):
        raise EvidenceError(report.name, f"it speaks of another file than {file.name}")
    return found


def check_against(report: Path, sha256: str | None, known: Collection[str], what: str) -> None:
    """Whether the other file of the comparison is one of the line. Raises EvidenceError."""
    if sha256 not in known:
        raise EvidenceError(report.name, f"{what} is no current release of the line")
