"""Many devices on one channel: shares hold, and a bad release reaches no more than its own."""

import json
import math
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from outrider_edge.client import Address, CloudClient, Network
from outrider_edge.errors import CloudRefused
from outrider_edge.ledger import Meter
from outrider_edge.releases.catalogue import Catalogue
from outrider_edge.releases.cloud_channel import CloudChannel
from outrider_edge.releases.examination import Compared
from outrider_edge.releases.installer import Installer
from outrider_edge.releases.report import Fate, Word
from outrider_edge.releases.store import DraftStore
from outrider_protos.release import Line
from tests.simulators.gguf_files import TinyModel, write_gguf
from tests.simulators.process import announced, process
from tests.simulators.signed_channel import Publication, SignedChannel

_GOOD = (Compared("odd", 100, 80, 60),)
_BAD = (Compared("odd", 100, 20, 60),)


class SimulatedDevice:
    """Looks and fetches as a device does; whether a draft is any good it is told."""

    def __init__(self, folder: Path, factory: Path, signed: SignedChannel) -> None:
        folder.mkdir()
        name = sha256(folder.name.encode()).digest()[:16]  # by chance, but the same every time
        (folder / "device").write_bytes(name)
        self.store = DraftStore(folder, factory)
        self._signed = signed
        self.has = 0

    def look(self, channel: CloudChannel, good: bool) -> int | None:
        """The release that it fetched, and told the channel about."""
        catalogue = Catalogue(channel, self.store.metadata, self._signed.root_bytes)
        line = catalogue.line(self._signed.name)
        number = line.wanted(self._signed.name, self.store.device()) if line else None
        if number is None or number == self.has:
            return None
        offer = catalogue.offer(self._signed.name, number)
        try:
            Installer(channel, self.store, lambda there, of: None).install(
                offer, self.store.pointer()
            )
        except CloudRefused:
            return None
        self._tell(channel, number, Fate.ON_TRIAL, ())
        self._tell(
            channel,
            number,
            Fate.COMMITTED if good else Fate.REVERTED,
            _GOOD if good else _BAD,
        )
        self.has = number
        return number

    def _tell(
        self, channel: CloudChannel, number: int, fate: Fate, pairs: tuple[Compared, ...]
    ) -> None:
        channel.report(
            Word(
                device=self.store.device().hex(),
                line=self._signed.name,
                release=number,
                fate=fate,
                pairs=pairs,
            )
        )


@contextmanager
def served(folder: Path) -> Iterator[CloudChannel]:
    """The repository behind a real cloud."""
    with process("releases", str(folder), "--listen", "127.0.0.1:0", "--json") as cloud:
        address = Address(target=json.loads(announced(cloud))["address"])
        with closing(Network()) as network:
            client = CloudClient(network, address, Meter(), local_only=False)
            with closing(client):
                yield CloudChannel(client)


def spread(share: float, count: int) -> float:
    """Three standard deviations of what a share of so many reaches."""
    return 3 * math.sqrt(count * share * (1 - share))


def rolled_out(folder: Path, count: int) -> None:
    factory = write_gguf(folder / "factory.gguf", TinyModel())
    good = write_gguf(folder / "good.gguf", TinyModel(seed=1))
    bad = write_gguf(folder / "bad.gguf", TinyModel(seed=2))
    signed = SignedChannel(folder / "channel")
    signed.publish(Publication(number=1, file=good), Line(next=1, percent=10))
    devices = [SimulatedDevice(folder / str(n), factory, signed) for n in range(count)]
    with served(signed.folder) as channel:
        first = {d for d in devices if d.look(channel, good=True) == 1}
        assert abs(len(first) - 0.1 * count) <= spread(0.1, count)
        signed.point(Line(next=1, percent=50))
        half = first | {d for d in devices if d.look(channel, good=True) == 1}
        assert abs(len(half) - 0.5 * count) <= spread(0.5, count)  # and nobody dropped out
        signed.point(Line(stable=1))
        rest = {d for d in devices if d.look(channel, good=True) == 1}
        assert len(half) + len(rest) == count
        signed.publish(Publication(number=2, file=bad), Line(stable=1, next=2, percent=10))
        hit = {d for d in devices if d.look(channel, good=False) == 2}
        assert 0 < len(hit) <= 0.1 * count + spread(0.1, count)  # it is halted meanwhile
        assert hit != first  # others go first each time
        signed.point(Line(stable=1, next=2, percent=100))  # whoever does not look at the fleet
        late = {d for d in devices if d not in hit and d.look(channel, good=False) == 2}
        assert late == set()
        assert sum((d.store.path(digest(bad))).exists() for d in devices) == len(hit)


def digest(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest()


def test_a_hundred_devices(tmp_path: Path) -> None:
    rolled_out(tmp_path, 100)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_thousand_devices(tmp_path: Path) -> None:
    rolled_out(tmp_path, 1000)
