"""The product's variants over one link: devices, and answers made by them in turn.

It knows how to run an answer and time it, not what the times mean.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.ideal import Plan
from outrider_edge.client import Address
from outrider_edge.device import Device, DeviceSettings
from outrider_edge.options import Mode, Options
from outrider_edge.policy import Shape
from outrider_protos.limits import MAX_RUN_AHEAD


class Variant(Enum):
    """What is compared."""

    STREAM = "cloud alone, streamed"
    INFINITE = "exact, infinite patience"
    ZERO = "exact, patience 0"
    USELESS = "patience 0, useless draft"
    ROUNDS = "classic rounds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A variant and the shape it drafts in; the cloud alone has none."""

    variant: Variant
    shape: Shape | None = None

    def options(self, max_tokens: int) -> Options:
        patience_ms = 0.0 if self.variant in (Variant.ZERO, Variant.USELESS) else None
        return Options(
            mode=Mode.CLOUD if self.shape is None else Mode.EXACT,
            max_tokens=max_tokens,
            shape=self.shape or Shape(),
            patience_ms=patience_ms,
            run_ahead=MAX_RUN_AHEAD,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One answer, made once."""

    seconds: float
    tokens: tuple[int, ...]
    passes: int
    bytes: int


class Track:
    """One cloud behind one link, with a good and a useless device on this side of it."""

    def __init__(self, port: int, draft: Path, useless: Path) -> None:
        self._stack = ExitStack()
        address = Address(target=f"127.0.0.1:{port}")
        self._devices = {
            path: self._stack.enter_context(Device(DeviceSettings(draft=path, cloud=address)))
            for path in (draft, useless)
        }
        self._draft, self._useless = draft, useless

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def run(self, entry: Entry, prompt: Sequence[int], max_tokens: int) -> Run:
        """One answer by a new session; its time begins with the request."""
        useless = entry.variant is Variant.USELESS
        device = self._devices[self._useless if useless else self._draft]
        session = device.session(entry.options(max_tokens))
        try:
            result = session.continue_from(prompt).result()
        finally:
            session.close()
        return Run(
            seconds=result.seconds,
            tokens=result.tokens,
            passes=result.tally.commits,
            bytes=result.traffic.bytes_sent + result.traffic.bytes_received,
        )


def shape_of(plan: Plan) -> Shape:
    """What the product is told to do as the simulation did."""
    return Shape(span=plan.span, window=plan.window)
