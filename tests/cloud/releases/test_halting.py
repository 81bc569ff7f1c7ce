"""A release that does worse is halted soon, a good one as seldom as promised, in any order."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from random import Random

import pytest

from outrider_cloud.releases.fleet import Fleet
from outrider_cloud.releases.halting import HaltTerms
from outrider_cloud.releases.report import Report, State, Tally

TERMS = HaltTerms()
POSITIONS = 1000
OWNER = "anna"
NAMED = (6, 7)  # by the line, now


def ended(state: State, loss: float = 0.0, device: bytes | None = None) -> Report:
    """A device lost this much of an acceptance of a half."""
    before = POSITIONS // 2
    tally = Tally(
        answers=9,
        positions=POSITIONS,
        agreed=before - round(loss * POSITIONS),
        agreed_before=before,
    )
    return Report(
        device=device or os.urandom(16),
        line="main",
        release=7,
        state=state,
        domains=(("sums", tally),),
    )


def halts_after(reports: Iterable[Report], fleet: Fleet | None = None) -> int | None:
    """How many reports it took."""
    fleet = fleet or Fleet()
    for count, report in enumerate(reports, start=1):
        fleet.take(OWNER, report, NAMED)
        if fleet.halted("main", 7):
            return count
    return None


def trials(random: Random, bad: float, devices: int, loss: float = 0.0) -> list[Report]:
    """Each device's trial begins and ends; a share `bad` of them badly."""
    names = [random.randbytes(16) for _ in range(devices)]
    begins = [ended(State.ON_TRIAL, device=name) for name in names]
    ends = [
        ended(State.REVERTED if random.random() < bad else State.COMMITTED, loss, name)
        for name in names
    ]
    return [report for pair in zip(begins, ends, strict=True) for report in pair]


@pytest.mark.parametrize(("bad", "devices"), [(1.0, 10), (0.5, 40), (0.25, 200)])
def test_a_release_whose_trials_end_badly_is_halted_soon(bad: float, devices: int) -> None:
    found = [halts_after(trials(Random(seed), bad, devices)) for seed in range(40)]
    assert found.count(None) <= 4


@pytest.mark.long
def test_at_the_border_a_release_is_halted_as_seldom_as_promised() -> None:
    """Both the share of bad ends and the loss are what is just allowed, in each of 1000 fleets."""
    halted = 0
    for seed in range(1000):
        random, fleet = Random(seed), Fleet(TERMS)
        for report in trials(random, TERMS.bad, 100):
            loss = random.choice((0.0, 2 * TERMS.loss)) if report.state is not State.ON_TRIAL else 0
            told = ended(report.state, loss, report.device)
            fleet.take(OWNER, told, NAMED)
        halted += bool(fleet.halted("main", 7))
    assert halted <= 1000 * TERMS.error


def test_bad_trials_that_end_before_the_good_ones_prove_nothing() -> None:
    """Six of a hundred are bad, and the first to end: fewer than are allowed, but all at once."""
    names = [os.urandom(16) for _ in range(100)]
    begins = [ended(State.ON_TRIAL, device=name) for name in names]
    bad = [ended(State.REVERTED, device=name) for name in names[:6]]
    good = [ended(State.COMMITTED, device=name) for name in names[6:]]
    assert halts_after([*begins, *bad, *good]) is None


@pytest.mark.parametrize(("loss", "devices"), [(0.3, 10), (0.1, 40), (0.06, 120)])
def test_a_release_that_costs_acceptance_is_halted_soon(loss: float, devices: int) -> None:
    found = halts_after(ended(State.COMMITTED, loss) for _ in range(devices))
    assert found is not None


def test_a_release_that_gains_is_never_halted() -> None:
    assert halts_after(ended(State.COMMITTED, -0.1) for _ in range(1000)) is None


@pytest.mark.parametrize("bad", [0.05, 0.10])
def test_what_was_replaced_during_its_trials_is_not_halted_for_it(bad: float) -> None:
    """The bad trials have ended, as they do soon; the good ones are called off in each fleet, and
    some devices say only what they went back to.
    """
    halted = 0
    for seed in range(100):
        random, fleet = Random(seed), Fleet()
        names = [random.randbytes(16) for _ in range(200)]
        ends = {name: State.REVERTED if random.random() < bad else State.LEFT for name in names}
        for name in names:
            fleet.take(OWNER, ended(State.ON_TRIAL, device=name), NAMED)
        for name in names:
            if ends[name] is State.REVERTED:
                fleet.take(OWNER, ended(State.REVERTED, device=name), NAMED)
        before = fleet.halted("main", 7)
        for name in names:
            if ends[name] is State.LEFT:
                fleet.take(OWNER, gone(name, random), (6, 8))
        for number in range(100):  # it is named again
            fleet.take(OWNER, ended(State.COMMITTED, device=names[number]), NAMED)
        assert fleet.halted("main", 7) == before
        halted += bool(before)
    assert halted <= 100 * TERMS.error


def gone(device: bytes, random: Random) -> Report:
    """A device that has called off its trial."""
    if random.random() < 0.5:
        return Report(device=device, line="main", release=7, state=State.LEFT)
    return Report(device=device, line="main", release=6, state=State.COMMITTED)


def test_a_release_that_is_named_no_more_is_halted_by_nobody() -> None:
    fleet = Fleet()
    for _ in range(100):
        fleet.take(OWNER, ended(State.REVERTED), (8,))
    assert not fleet.halted("main", 7)


def test_the_reason_says_which_bet_was_won() -> None:
    bad, worse = Fleet(), Fleet()
    for _ in range(30):
        bad.take(OWNER, ended(State.REFUSED), NAMED)
        worse.take(OWNER, ended(State.COMMITTED, 0.3), NAMED)
    assert "10% of the devices" in bad.halted("main", 7)
    assert "acceptance" in worse.halted("main", 7)


def test_a_device_counts_once_with_its_first_end() -> None:
    device = os.urandom(16)
    turns = [State.REVERTED, State.ON_TRIAL, State.REVERTED, State.COMMITTED] * 100
    assert halts_after(ended(state, device=device) for state in turns) is None
    fleet = Fleet()
    for _ in range(100):
        device = os.urandom(16)
        fleet.take(OWNER, ended(State.COMMITTED, device=device), NAMED)
        fleet.take(OWNER, ended(State.REVERTED, 0.5, device=device), NAMED)
    assert not fleet.halted("main", 7)


def test_a_halted_release_stays_so() -> None:
    fleet = Fleet()
    assert halts_after((ended(State.REVERTED) for _ in range(20)), fleet) is not None
    for _ in range(500):
        fleet.take(OWNER, ended(State.COMMITTED), NAMED)
    assert fleet.halted("main", 7)


def test_a_release_is_judged_by_its_own_devices() -> None:
    fleet = Fleet()
    assert halts_after((ended(State.REVERTED) for _ in range(20)), fleet) is not None
    assert not fleet.halted("main", 8)
    assert not fleet.halted("other", 7)


def told(fleet: Fleet, owners: Sequence[str], state: State, each: int) -> bool:
    for _ in range(each):
        for owner in owners:
            fleet.take(owner, ended(state), NAMED)
    return bool(fleet.halted("main", 7))


def test_no_owner_halts_alone_however_many_devices_it_makes_up() -> None:
    fleet = Fleet(several_owners=True)
    assert not told(fleet, ["mallory"], State.REVERTED, 5_000)
    assert not told(fleet, ["anna", "bert"], State.COMMITTED, 30)
    assert not told(fleet, ["mallory"], State.REVERTED, 5_000)


def test_several_owners_with_a_device_each_halt_together() -> None:
    owners = [f"owner {number}" for number in range(12)]
    assert told(Fleet(several_owners=True), owners, State.REVERTED, 1)


def test_the_ballots_of_an_owner_are_bounded() -> None:
    """What comes after the first so many changes nothing."""
    fleet = Fleet(HaltTerms(ballots=50))
    assert not told(fleet, ["anna"], State.COMMITTED, 50)
    assert not told(fleet, ["anna"], State.REVERTED, 500)


def test_a_release_that_nobody_tried_is_not_praised_for_it() -> None:
    """Devices that keep no answers take it as it comes, and those that go back are no judges."""
    untried = [
        Report(device=os.urandom(16), line="main", release=7, state=State.COMMITTED)
        for _ in range(1_000)
    ]
    bad = [ended(State.REVERTED) for _ in range(4)]
    assert halts_after([*untried, *bad]) == 1_004


@pytest.mark.parametrize("state", [State.COMMITTED, State.LEFT])
def test_a_trial_that_nobody_judged_is_taken_back(state: State) -> None:
    """A device whose answers are all local ends its trial without having seen anything."""
    names = [os.urandom(16) for _ in range(200)]
    begun = [ended(State.ON_TRIAL, device=name) for name in names]
    unseen = [Report(device=name, line="main", release=7, state=state) for name in names]
    bad = [ended(State.REVERTED) for _ in range(4)]
    assert halts_after([*begun, *bad]) is None
    assert halts_after([*begun, *unseen, *bad]) == 404
    assert halts_after([*begun, *bad, *unseen]) is not None


def test_a_trial_that_was_judged_is_not_taken_back() -> None:
    device, fleet = os.urandom(16), Fleet(HaltTerms(ballots=1))
    fleet.take(OWNER, ended(State.REVERTED, device=device), NAMED)
    fleet.take(OWNER, Report(device=device, line="main", release=7, state=State.COMMITTED), NAMED)
    assert halts_after((ended(State.REVERTED) for _ in range(50)), fleet) is None


def test_what_chance_does_on_few_answers_is_no_loss() -> None:
    """Half of the devices lose a little, half gain: gains alone do not count."""
    fleet = Fleet()
    for number in range(400):
        agreed = 40 if number % 2 else 60
        tally = Tally(answers=3, positions=100, agreed=agreed, agreed_before=50)
        report = replace(ended(State.COMMITTED), domains=(("sums", tally),))
        fleet.take(OWNER, report, NAMED)
    assert not fleet.halted("main", 7)


def test_a_trial_that_was_called_off_for_an_older_release_is_taken_back() -> None:
    """The device says only what it uses now."""
    names = [os.urandom(16) for _ in range(200)]
    begun = [ended(State.ON_TRIAL, device=name) for name in names]
    back = [Report(device=name, line="main", release=6, state=State.COMMITTED) for name in names]
    bad = [ended(State.REVERTED) for _ in range(4)]
    assert halts_after([*begun, *back, *bad]) == 404
