"""What one generation is asked for, and when it is over. A frozen value; it does nothing itself."""

from collections.abc import Sequence
from dataclasses import dataclass

from outrider_protos.words import FinishReason, Provenance, Rollback, Sampling, Wants


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What one generation is asked for. `log` is everything before the first new token."""

    session: bytes
    log: tuple[int, ...]
    keep: int = 0  # leading tokens the cloud is believed to have
    max_length: int  # of the log, at which generation ends
    end_ids: frozenset[int]
    stop_ids: tuple[int, ...] = ()
    sampling: Sampling = Sampling()
    rollback: Rollback | None = None
    patience_ms: float | None = None
    run_ahead: int = 256
    wants: Wants = Wants()
    provenance: Provenance | None = None  # None: the cloud may keep nothing

    def end_of(self, log: Sequence[int]) -> FinishReason | None:
        """Why a generation that wrote the log this far has ended, if it has."""
        if len(log) > len(self.log) and log[-1] in self.end_ids:
            return FinishReason.END_TOKEN
        if len(log) > len(self.log) and log[-1] in self.stop_ids:
            return FinishReason.STOP_TOKEN
        return FinishReason.LENGTH if len(log) >= self.max_length else None
