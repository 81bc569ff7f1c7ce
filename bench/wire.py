"""Bytes of gRPC messages per committed token, both directions together.

Acceptance is an input: target and draft follow a script (`bench.script`), all else is the product:
the loop, the client, real gRPC over an emulated link, the server. Choices, log-probabilities and
timings are off. Token ids come from a vocabulary of 151,936 and mostly take three bytes.

    python -m bench.wire --output docs/results/wire.md
"""

import argparse
import itertools
import secrets
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from bench.children import child, linked, port_of
from bench.pin import Place
from bench.report import Report
from bench.script import Script, ScriptDraft
from outrider_edge.client import Address, CloudClient, Network
from outrider_edge.generation import Generation, Outcome
from outrider_edge.ledger import Meter
from outrider_edge.policy import Policy, Shape
from outrider_edge.request import Request
from outrider_edge.speculate import Speculation
from outrider_edge.worker import Worker
from outrider_protos.limits import SESSION_BYTES

_PROMPT_TOKENS = 32
_FRAME_BYTES = 5  # gRPC puts so many before every message
_AT_ONCE = 4  # runs; they sleep most of the time
_STEP_MS, _ROW_MS, _DRAFT_MS, _RTT_MS = 20.0, 0.5, 4.0, 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One row of the table."""

    acceptance: float
    window: int
    span: int
    patience_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Per committed token."""

    sent: float
    received: float
    passes: float

    @property
    def both(self) -> float:
        return self.sent + self.received


class Line:
    """One device without a model, on its link to the script's cloud."""

    def __init__(self, target: str, script: Script) -> None:
        self._script = script
        self._meter = Meter()
        self._network = Network()
        address = Address(target=target)
        self._client = CloudClient(self._network, address, Meter(), local_only=False)
        self._worker = Worker()

    def close(self) -> None:
        self._worker.close()
        self._client.close()
        self._network.close()

    def spend(self, setting: Setting) -> Spent:
        """One generation of the whole script. Raises the error it ended with, if any."""
        prompt = tuple(self._script.tokens()[:_PROMPT_TOKENS])
        request = Request(
            session=secrets.token_bytes(SESSION_BYTES),
            log=prompt,
            max_length=self._script.length - 64,  # a window past the end is still in the script
            end_ids=frozenset({0}),
            patience_ms=setting.patience_ms,
        )
        shape = Shape(span=setting.span, window=setting.window)
        loop = Speculation(request, Policy(shape=shape))
        before = self._meter.traffic
        outcome = self._drive(loop, ScriptDraft(self._script, setting.acceptance, _DRAFT_MS / 1000))
        traffic = self._meter.traffic - before
        tokens = len(outcome.log) - len(prompt)
        if list(outcome.log) != self._script.tokens()[: len(outcome.log)]:
            raise RuntimeError("the text is not the script's")
        return Spent(
            sent=traffic.bytes_sent / tokens,
            received=traffic.bytes_received / tokens,
            passes=outcome.tally.commits / tokens,
        )

    def _drive(self, loop: Speculation, draft: ScriptDraft) -> Outcome:
        ended = Event()
        dialer = self._client.dialer(self._meter)
        generation = Generation(loop, draft=draft, dialer=dialer, sink=lambda _events: None)
        self._worker.submit(generation, ended.set)
        ended.wait()
        outcome = generation.outcome
        assert outcome is not None, "a generation that is done has an outcome"
        if outcome.error is not None:
            raise outcome.error
        return outcome


@contextmanager
def script_clouds(length: int, rtt_ms: float) -> Iterator[list[str]]:
    """Addresses of several clouds, each behind its own link: sleeping engines do not share."""
    with ExitStack() as stack:
        addresses = []
        for _ in range(_AT_ONCE):
            command = [sys.executable, "-m", "bench.script_cloud", "--length", str(length)]
            command += ["--step-ms", str(_STEP_MS), "--row-ms", str(_ROW_MS)]
            _, said = stack.enter_context(child(Place(core=0), command))
            port = stack.enter_context(linked(Place(core=1), port_of(said["address"]), rtt_ms))
            addresses.append(f"127.0.0.1:{port}")
        yield addresses


def spend_all(settings: list[Setting], length: int, rtt_ms: float) -> dict[Setting, Spent]:
    """Every setting once, a few at a time."""
    script = Script(length=length)
    with script_clouds(length, rtt_ms) as addresses, ThreadPoolExecutor(_AT_ONCE) as pool:
        shares = [settings[start::_AT_ONCE] for start in range(_AT_ONCE)]

        def run(address: str, share: list[Setting]) -> list[tuple[Setting, Spent]]:
            line = Line(address, script)
            try:
                return [(setting, line.spend(setting)) for setting in share]
            finally:
                line.close()

        return dict(itertools.chain.from_iterable(pool.map(run, addresses, shares)))


def main() -> None:
    parser = argparse.ArgumentParser(description="Bytes of messages per committed token.")
    parser.add_argument("--quick", action="store_true", help="few settings, short texts")
    parser.add_argument("--output", type=Path, help="a markdown file; else standard output")
    arguments = parser.parse_args()
    acceptances = (0.9,) if arguments.quick else (0.5, 0.7, 0.8, 0.9, 0.95, 1.0)
    shapes = ((16, 8),) if arguments.quick else ((8, 4), (16, 4), (16, 8), (32, 8))
    settings = [
        Setting(acceptance=acceptance, window=window, span=span, patience_ms=patience_ms)
        for patience_ms in (None, 0.0)
        for window, span in shapes
        for acceptance in acceptances
    ]
    length = 200 if arguments.quick else 600
    spent = spend_all(settings, length, _RTT_MS)
    report = Report("Bytes on the wire", sys.argv)
    report.say(
        "Serialised gRPC messages of one generation, Open and the prompt's Append included, over "
        f"its {length - 64 - _PROMPT_TOKENS} tokens after a prompt of {_PROMPT_TOKENS}; gRPC adds "
        f"{_FRAME_BYTES} bytes a message and HTTP/2 its frames. Choices, log-probabilities and "
        f"timings off, three-byte token ids, chains. Emulated: RTT {_RTT_MS:.0f} ms, a target step "
        f"of {_STEP_MS:.0f} ms and {_ROW_MS} ms a node, a draft step of {_DRAFT_MS:.0f} ms."
    )
    for patience_ms, name in ((None, "Infinite patience"), (0.0, "Patience 0")):
        report.heading(name)
        report.table(
            (
                "acceptance",
                "window",
                "span",
                "bytes a token",
                "up",
                "down",
                "target passes a token",
            ),
            [_row(s, spent[s]) for s in settings if s.patience_ms == patience_ms],
        )
    report.write(arguments.output)


def _row(setting: Setting, spent: Spent) -> tuple[str, ...]:
    return (
        f"{setting.acceptance:g}",
        str(setting.window),
        str(setting.span),
        f"**{spent.both:.1f}**",
        f"{spent.sent:.1f}",
        f"{spent.received:.1f}",
        f"{spent.passes:.2f}",
    )


if __name__ == "__main__":
    main()
