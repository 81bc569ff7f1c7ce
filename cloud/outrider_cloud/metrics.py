"""What Prometheus may read, over HTTP on this machine alone: how busy it is, and the fleet.

Everything is asked for when it is read. Labels are bounded as the fleet's standings are.
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Final

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from outrider_cloud.address import Address
from outrider_cloud.errors import ConfigError
from outrider_cloud.releases.fleet import Fleet, Standing
from outrider_protos.v1 import outrider_pb2

_ANSWER_S: Final = 5.0  # for the event loop


class Metrics:
    """Served from the start, on a thread of its own. Raises ConfigError."""

    def __init__(self, listen: str) -> None:
        wanted = Address.parse(listen)
        if not wanted.is_loopback:
            raise ConfigError(
                f"metrics ask for no token, so --metrics must be loopback; {wanted} is not"
            )
        self._registry = CollectorRegistry()
        try:
            self._server, self._thread = start_http_server(wanted.port, wanted.host, self._registry)
        except OSError as error:
            raise ConfigError(f"cannot serve metrics on {wanted}: {error.strerror}") from error
        self.address = Address(wanted.host, self._server.server_port)

    def show(self, collector: Collector) -> None:
        self._registry.register(collector)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class LoadGauges(Collector):
    """`report` may be called by any thread."""

    def __init__(self, report: Callable[[], outrider_pb2.LoadReport]) -> None:
        self._report = report

    def collect(self) -> Iterator[GaugeMetricFamily]:
        report = self._report()
        window = f"Share of the last {report.window_s} s in which the engine computed."
        yield GaugeMetricFamily("outrider_busy_share", window, value=report.busy)
        yield GaugeMetricFamily("outrider_streams", "Open streams.", value=report.streams)


class FleetGauges(Collector):
    """Of all owners. The fleet lives on the loop, so it is asked there."""

    def __init__(self, fleet: Fleet, loop: asyncio.AbstractEventLoop) -> None:
        self._fleet = fleet
        self._loop = loop

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Nothing at all where the loop does not answer: it is going down."""
        answer: Future[list[Standing]] = Future()
        try:
            self._loop.call_soon_threadsafe(lambda: answer.set_result(self._fleet.standings()))
            standings = answer.result(_ANSWER_S)
        except (TimeoutError, RuntimeError):
            return
        yield _devices(standings)
        yield _acceptance(standings)
        yield _halted(standings)


def _devices(standings: list[Standing]) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(
        "outrider_devices", "Devices by what they said last.", labels=("line", "release", "state")
    )
    for each in standings:
        for state, count in each.states.items():
            gauge.add_metric((each.line, str(each.release), state.value), count)
    return gauge


def _acceptance(standings: list[Standing]) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(
        "outrider_acceptance",
        "Share of positions at which the target agreed with a release, and with the one before.",
        labels=("line", "release", "domain", "draft"),
    )
    for each in standings:
        for domain, tally in each.domains:
            if tally.acceptance is not None and tally.acceptance_before is not None:
                where = (each.line, str(each.release), domain)
                gauge.add_metric((*where, "now"), tally.acceptance)
                gauge.add_metric((*where, "before"), tally.acceptance_before)
    return gauge


def _halted(standings: list[Standing]) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(
        "outrider_halted", "1: nobody gets this release any more.", labels=("line", "release")
    )
    for each in standings:
        gauge.add_metric((each.line, str(each.release)), float(bool(each.halted)))
    return gauge
