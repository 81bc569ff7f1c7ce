"""What Prometheus reads over real HTTP: the fleet and the load, on loopback alone."""

import asyncio
import urllib.request
from collections.abc import Callable, Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from outrider_cloud.errors import ConfigError
from outrider_cloud.metrics import FleetGauges, LoadGauges, Metrics
from outrider_cloud.releases.fleet import Fleet
from outrider_cloud.releases.report import Report, State, Tally
from outrider_protos.v1 import outrider_pb2

NAMED = range(1, 1000)  # by the line
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    metrics = Metrics("127.0.0.1:0")
    yield metrics
    metrics.close()


def scrape(metrics: Metrics) -> Samples:
    with urllib.request.urlopen(f"http://{metrics.address}/metrics", timeout=10) as reply:
        text = reply.read().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scraped(metrics: Metrics, collector: Callable[[], Collector]) -> Samples:
    """With the loop running, as it does while a cloud serves."""

    async def scene() -> Samples:
        metrics.show(collector())
        return await asyncio.to_thread(scrape, metrics)

    return asyncio.run(scene())


def report(number: int, state: State, *domains: tuple[str, Tally], release: int = 2) -> Report:
    device = number.to_bytes(16, "big")
    return Report(device=device, line="main", release=release, state=state, domains=domains)


def test_the_load_is_shown(metrics: Metrics) -> None:
    said = outrider_pb2.LoadReport(busy=0.25, window_s=30, streams=3)
    found = scraped(metrics, lambda: LoadGauges(lambda: said))
    assert found == {("outrider_busy_share", ()): 0.25, ("outrider_streams", ()): 3}


def test_the_fleet_is_shown(metrics: Metrics) -> None:
    fleet = Fleet()
    tally = Tally(answers=1, positions=10, agreed=6, agreed_before=5)
    fleet.take("anna", report(1, State.COMMITTED, ('say "hi"\\', tally), ("none", Tally())), NAMED)
    fleet.take("bert", report(2, State.ON_TRIAL), NAMED)
    for number in range(20):
        fleet.take("bert", report(100 + number, State.REVERTED, release=3), NAMED)
    found = scraped(metrics, lambda: FleetGauges(fleet, asyncio.get_running_loop()))

    def place(release: int, **labels: str) -> tuple[tuple[str, str], ...]:
        return tuple(sorted({"line": "main", "release": str(release), **labels}.items()))

    devices = {key: value for key, value in found.items() if key[0] == "outrider_devices"}
    assert len(devices) == 2 * len(State)
    assert devices["outrider_devices", place(2, state="committed")] == 1
    assert devices["outrider_devices", place(2, state="on trial")] == 1
    assert devices["outrider_devices", place(3, state="reverted")] == 20
    shares = {key: value for key, value in found.items() if key[0] == "outrider_acceptance"}
    assert shares == {
        ("outrider_acceptance", place(2, domain='say "hi"\\', draft="now")): 0.6,
        ("outrider_acceptance", place(2, domain='say "hi"\\', draft="before")): 0.5,
    }
    assert found["outrider_halted", place(2)] == 0
    assert found["outrider_halted", place(3)] == 1


def test_labels_are_bounded(metrics: Metrics) -> None:
    fleet = Fleet()
    for number in range(100):
        domain = (f"domain {number}", Tally(positions=1))
        fleet.take("anna", report(number, State.COMMITTED, domain, release=109), NAMED)
        fleet.take("anna", report(1000 + number, State.COMMITTED, release=10 + number), NAMED)
    found = scraped(metrics, lambda: FleetGauges(fleet, asyncio.get_running_loop()))
    assert len(found) == 32 * (len(State) + 1) + 64 * 2
    releases = {dict(labels)["release"] for _, labels in found}
    assert releases == {str(number) for number in range(78, 110)}


def test_a_loop_that_has_ended_leaves_the_rest_readable(metrics: Metrics) -> None:
    said = outrider_pb2.LoadReport(streams=1)
    scraped(metrics, lambda: FleetGauges(Fleet(), asyncio.get_running_loop()))
    metrics.show(LoadGauges(lambda: said))
    assert scrape(metrics)["outrider_streams", ()] == 1


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", "example.org:0"])
def test_beyond_loopback_metrics_are_refused(listen: str) -> None:
    with pytest.raises(ConfigError, match="loopback"):
        Metrics(listen)


def test_a_port_in_use_is_said_so(metrics: Metrics) -> None:
    with pytest.raises(ConfigError, match="cannot serve metrics"):
        Metrics(str(metrics.address))
