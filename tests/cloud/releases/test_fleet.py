"""What a fleet knows: the newest report of each device, summed rightly, bounded, and kept."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outrider_cloud.errors import ConfigError
from outrider_cloud.releases.account import Account
from outrider_cloud.releases.fleet import MOST_RELEASES, Fleet
from outrider_cloud.releases.report import Report, State, Tally

OWNERS = ("anna", "bert")
NAMED = range(1, 1000)  # by every line
EVERYWHERE = [(line, release) for line in ("main", "maths") for release in (1, 2, 3)]


@st.composite
def tallies(draw: st.DrawFn) -> Tally:
    positions = draw(st.integers(0, 50))
    agreed, before = (draw(st.integers(0, positions)) for _ in range(2))
    answers = draw(st.integers(0, 3))
    return Tally(answers=answers, positions=positions, agreed=agreed, agreed_before=before)


reports = st.builds(
    Report,
    device=st.sampled_from([bytes([number] * 16) for number in range(5)]),
    line=st.sampled_from(["main", "maths"]),
    release=st.integers(1, 3),
    state=st.sampled_from(State),
    domains=st.dictionaries(st.sampled_from(["", "sums", "maps"]), tallies()).map(
        lambda found: tuple(found.items())
    ),
)
heard = st.lists(st.tuples(st.sampled_from(OWNERS), reports), max_size=30)


def fleet_of(told: list[tuple[str, Report]]) -> Fleet:
    fleet = Fleet()
    for owner, report in told:
        fleet.take(owner, report, NAMED)
    return fleet


TRIED = ("", Tally(answers=1, positions=10, agreed=5, agreed_before=5))


def committed(device: bytes, release: int = 1, *domains: tuple[str, Tally]) -> Report:
    return Report(
        device=device, line="main", release=release, state=State.COMMITTED, domains=domains
    )


@given(heard)
def test_sums_are_those_of_the_newest_reports(told: list[tuple[str, Report]]) -> None:
    newest = {(owner, report.line, report.device): report for owner, report in told}
    fleet = fleet_of(told)
    for owner in (*OWNERS, None):
        mine = [report for (whose, _, _), report in newest.items() if owner in (whose, None)]
        standings = fleet.standings(owner)
        names = {(whose, device) for whose, _, device in newest if owner in (whose, None)}
        assert fleet.devices(owner) == len(names)
        places = {(each.line, each.release) for each in mine}
        places |= {each for each in EVERYWHERE if fleet.halted(*each)}
        assert [(each.line, each.release) for each in standings] == sorted(
            places, key=lambda place: (place[0], -place[1])
        )
        for standing in standings:
            there = [
                report
                for report in mine
                if (report.line, report.release) == (standing.line, standing.release)
            ]
            states = {state: sum(each.state is state for each in there) for state in State}
            assert standing.states == states
            whole: dict[str, Tally] = {}
            for name, tally in (pair for each in there for pair in each.domains):
                whole[name] = whole.get(name, Tally()) + tally
            assert dict(standing.domains) == {n: t for n, t in whole.items() if t != Tally()}


@given(heard)
def test_the_same_changes_make_the_same_fleet(told: list[tuple[str, Report]]) -> None:
    fleet, again = Fleet(), Fleet()
    for owner, report in told:
        for change in fleet.take(owner, report, NAMED):
            again.apply(change)
    assert again.standings() == fleet.standings()
    assert again.devices() == fleet.devices()


def test_devices_silent_for_longest_are_forgotten() -> None:
    fleet = Fleet(most_devices=3)
    names = [bytes([number] * 16) for number in range(5)]
    for number in (0, 1, 2, 0, 3, 4):  # 0 has spoken since
        fleet.take("anna", committed(names[number], release=number + 1), NAMED)
    fleet.take("bert", committed(names[1], release=9), NAMED)
    assert [each.release for each in fleet.standings("anna")] == [5, 4, 1]
    assert fleet.devices("anna") == 3
    assert fleet.devices() == 4


def test_a_report_with_many_domains_takes_the_room_of_many() -> None:
    domains = [(str(number), Tally(positions=1)) for number in range(64)]
    fleet = Fleet()
    for number in range(7_000):
        fleet.take("anna", committed(number.to_bytes(16, "big"), 1, *domains), NAMED)
    assert fleet.devices() == 400_000 // 65


def test_the_newest_releases_are_shown_and_judged() -> None:
    fleet = Fleet()
    for release in range(1, MOST_RELEASES + 11):
        fleet.take("anna", committed(os.urandom(16), release, TRIED), NAMED)
    shown = [each.release for each in fleet.standings()]
    assert shown == list(range(MOST_RELEASES + 10, 10, -1))
    for _ in range(50):
        old = Report(device=os.urandom(16), line="main", release=5, state=State.REVERTED)
        fleet.take("anna", old, NAMED)
    assert not fleet.halted("main", 5)


def test_of_many_domains_those_best_known_are_shown() -> None:
    fleet = Fleet()
    for number in range(100):
        known = (f"{number:03}", Tally(positions=number + 1))
        fleet.take("anna", committed(os.urandom(16), 1, known), NAMED)
    (standing,) = fleet.standings()
    assert [name for name, _ in standing.domains] == [f"{number:03}" for number in range(36, 100)]


def named_after(number: int) -> Report:
    device = number.to_bytes(16, "big")
    return committed(device, 1, (f"{number:03}", Tally(positions=number + 1)))


def shown(fleet: Fleet, owner: str | None = None) -> list[str]:
    """Domains of the only release."""
    (standing,) = fleet.standings(owner)
    return [name for name, _ in standing.domains]


def test_so_many_domains_of_a_release_are_told_apart(file: Path) -> None:
    """The others wait until there is room; an owner takes none of another's."""
    account, fleet = Account(file), Fleet()
    for number in range(300):
        account.add(fleet.take("anna", named_after(number), NAMED))
    assert shown(fleet, "anna") == shown(fleet) == [f"{number:03}" for number in range(192, 256)]
    account.add(fleet.take("bert", named_after(400), NAMED))
    account.add(fleet.take("anna", committed(bytes(16)), NAMED))
    account.add(fleet.take("anna", named_after(299), NAMED))
    assert shown(fleet, "anna") == [f"{number:03}" for number in (*range(193, 256), 299)]
    assert shown(fleet) == [f"{number:03}" for number in (*range(194, 256), 299, 400)]
    account.flush()
    assert restored(file).standings("anna") == fleet.standings("anna")


def test_lines_share_the_room_of_a_message_by_the_newest() -> None:
    fleet = Fleet()
    for line in range(60):
        for release in range(1, 6):
            report = Report(
                device=os.urandom(16), line=f"l{line}", release=release, state=State.COMMITTED
            )
            fleet.take("anna", report, NAMED)
    shown = {(each.line, each.release) for each in fleet.standings()}
    assert len(shown) == 128
    assert {(f"l{line}", 5) for line in range(60)} <= shown


def restored(file: Path) -> Fleet:
    fleet = Fleet()
    for change in Account(file).changes():
        fleet.apply(change)
    return fleet


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "fleet.db"


@given(heard)
def test_an_account_keeps_the_fleet(
    tmp_path_factory: pytest.TempPathFactory, told: list[tuple[str, Report]]
) -> None:
    file = tmp_path_factory.mktemp("account") / "fleet.db"
    account, fleet = Account(file), Fleet()
    for number, (owner, report) in enumerate(told):
        account.add(fleet.take(owner, report, NAMED))
        if number % 7 == 3:
            account.flush()
    account.flush()
    again = restored(file)
    assert again.standings() == fleet.standings()
    assert again.standings("anna") == fleet.standings("anna")


def bad(number: int) -> Report:
    device = number.to_bytes(16, "big")
    return Report(device=device, line="main", release=2, state=State.REVERTED)


def test_ballots_and_halts_outlive_a_restart(file: Path) -> None:
    account, fleet, count = Account(file), Fleet(), 0
    while not fleet.halted("main", 2):
        count += 1
        account.add(fleet.take("anna", bad(count), NAMED))
    account.flush()
    assert restored(file).halted("main", 2) == fleet.halted("main", 2)

    file.unlink()
    account, fleet = Account(file), Fleet()
    for number in range(count - 1):
        account.add(fleet.take("anna", bad(number), NAMED))
    account.flush()
    again = restored(file)
    again.take("anna", bad(0), NAMED)  # known already
    assert not again.halted("main", 2)
    again.take("anna", bad(count), NAMED)
    assert again.halted("main", 2)


def test_what_is_halted_is_seen_by_who_has_no_device() -> None:
    """As by a worker with a token of its own, also when all devices speak of something else."""
    fleet = Fleet()
    for number in range(20):
        fleet.take("anna", bad(number), NAMED)
    for number in range(20):
        fleet.take("anna", committed(number.to_bytes(16, "big"), 3, TRIED), NAMED)
    (standing,) = fleet.standings("trainer")
    assert (standing.release, bool(standing.halted)) == (2, True)
    assert [each.release for each in fleet.standings("anna")] == [3, 2]


def test_a_ballot_that_was_taken_back_stays_so(file: Path) -> None:
    account, fleet = Account(file), Fleet()
    names = [number.to_bytes(16, "big") for number in range(100, 300)]
    for state in (State.ON_TRIAL, State.COMMITTED):
        for name in names:
            report = Report(device=name, line="main", release=2, state=state)
            account.add(fleet.take("anna", report, NAMED))
    account.flush()
    again = restored(file)
    for number in range(4):
        again.take("anna", bad(number), NAMED)
    assert again.halted("main", 2)


def test_what_is_forgotten_leaves_the_file(file: Path) -> None:
    account, fleet = Account(file), Fleet(most_devices=10)
    for number in range(100):
        account.add(
            fleet.take("anna", committed(number.to_bytes(16, "big"), number + 1, TRIED), NAMED)
        )
    account.flush()
    again = restored(file)
    assert again.devices() == 10
    assert again.standings() == fleet.standings()
    kept = [change for change in Account(file).changes() if type(change).__name__ == "Counted"]
    assert len(kept) == MOST_RELEASES


def test_who_was_silent_for_longest_is_known_after_a_restart(file: Path) -> None:
    account, fleet = Account(file), Fleet()
    for number in (5, 1, 3, 5, 2):
        account.add(fleet.take("anna", committed(bytes([number] * 16), number), NAMED))
    account.flush()
    again = Fleet(most_devices=3)
    for change in Account(file).changes():
        again.apply(change)
    again.take("anna", committed(bytes([9] * 16), 9), NAMED)
    assert [each.release for each in again.standings()] == [9, 5, 2]


def test_a_full_disk_costs_nothing_that_comes_later(file: Path) -> None:
    account, fleet = Account(file), Fleet()
    kept = file.read_bytes()
    file.unlink()
    file.mkdir()  # nothing can be written there
    account.add(fleet.take("anna", committed(bytes(16)), NAMED))
    account.flush()
    file.rmdir()
    file.write_bytes(kept)
    account.add(fleet.take("anna", committed(bytes([1] * 16)), NAMED))
    account.flush()
    assert restored(file).devices() == 2


@pytest.mark.parametrize("spoilt", [b"no database at all, but long enough to be read as one" * 40])
def test_a_file_that_is_no_account_is_refused(file: Path, spoilt: bytes) -> None:
    file.write_bytes(spoilt)
    with pytest.raises(ConfigError, match="account"):
        Account(file)
    assert file.read_bytes() == spoilt


def test_an_account_of_another_version_is_left_alone(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 9")
    with pytest.raises(ConfigError, match="another version"):
        Account(file)


def test_a_place_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match="account"):
        Account(tmp_path / "file" / "fleet.db")
