"""From one draft to the next: what is good comes to stay, what is bad goes by itself."""

import json
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from outrider_edge.config import SHIPPED_DRAFT
from outrider_edge.errors import (
    Busy,
    ClockWrong,
    CloudRefused,
    CloudUnavailable,
    DraftError,
    NotOffered,
    ProbeInterrupted,
    StoreFailed,
)
from outrider_edge.releases.examination import Compared, is_slow
from outrider_edge.releases.probe import Files, Findings, Tried, probe
from outrider_edge.releases.recent import RecentAnswers
from outrider_edge.releases.report import Fate, Word
from outrider_edge.releases.starts import MOST_STARTS
from outrider_edge.releases.step import Phase, State
from outrider_edge.releases.store import DraftStore
from outrider_edge.releases.trial import Outcome
from outrider_edge.releases.trial_record import TrialRecord
from outrider_edge.releases.updater import Updater
from outrider_protos.release import Golden, Line
from tests.edge.releases.device import CountingChannel, TestDevice, ended_starts
from tests.simulators.drafts import answers, golden, spoiled
from tests.simulators.gguf_files import TinyModel, write_gguf
from tests.simulators.signed_channel import CHUNK_BYTES, Publication, SignedChannel, delta_of

MANY = 40
DAY_S = 86_400.0


def name_of(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest()


@pytest.fixture
def signed(tmp_path: Path) -> SignedChannel:
    return SignedChannel(tmp_path / "channel")


@pytest.fixture
def weak(tmp_path: Path) -> Path:
    return spoiled(tmp_path / "weak.gguf", 0.4)


@pytest.fixture
def device(tmp_path: Path, signed: SignedChannel, weak: Path) -> TestDevice:
    """It came with a weak draft."""
    return TestDevice(tmp_path / "device", weak, signed)


@pytest.fixture
def happy(tmp_path: Path, signed: SignedChannel) -> TestDevice:
    """It came with the best there is."""
    return TestDevice(tmp_path / "device", SHIPPED_DRAFT, signed)


def test_a_better_draft_comes_to_stay(device: TestDevice, signed: SignedChannel) -> None:
    wish = Publication(number=1, file=SHIPPED_DRAFT, golden=(golden(SHIPPED_DRAFT),))
    signed.publish(wish, Line(stable=1))
    step = device.step()
    assert (step.state, step.release) == (State.ON_TRIAL, 1)
    assert device.pointer.drafting == name_of(SHIPPED_DRAFT)
    assert device.pointer.active == name_of(device.factory)
    assert device.step().state is State.ON_TRIAL  # nobody has asked anything yet
    device.answer(MANY)
    while (step := device.step()).again:
        pass
    assert step.state is State.COMMITTED
    assert device.pointer.active == name_of(SHIPPED_DRAFT)
    assert device.pointer.number(device.pointer.active) == 1
    assert device.step().state is State.UP_TO_DATE
    assert [word.fate for word in device.channel.words] == [Fate.ON_TRIAL, Fate.COMMITTED]
    (odd, even) = sorted(device.channel.words[-1].pairs, key=lambda pair: pair.domain)[::-1]
    assert odd.domain == "odd" and odd.new == odd.positions and odd.old < odd.positions
    assert even.answers + odd.answers <= MANY


def test_a_worse_draft_goes_and_never_comes_back(
    happy: TestDevice, signed: SignedChannel, weak: Path
) -> None:
    signed.publish(Publication(number=1, file=weak), Line(stable=1))
    assert happy.step().state is State.ON_TRIAL
    happy.answer(MANY)
    step = happy.step()
    while step.state is State.ON_TRIAL and step.again:
        step = happy.step()
    assert step.state is State.REVERTED
    assert happy.pointer.drafting == name_of(SHIPPED_DRAFT)
    assert not happy.store.path(name_of(weak)).exists()
    fetched = happy.channel.fetched(".gguf")
    assert happy.step().state is State.UP_TO_DATE
    assert happy.channel.fetched(".gguf") == fetched
    assert happy.channel.words[-1].fate is Fate.REVERTED


def test_recent_answers_spare_a_hopeless_trial(
    happy: TestDevice, signed: SignedChannel, weak: Path
) -> None:
    happy.answer(MANY)
    signed.publish(Publication(number=1, file=weak), Line(stable=1))
    step = happy.step()
    assert step.state is State.REFUSED
    assert "recent answers" in step.text
    assert happy.pointer.drafting == name_of(SHIPPED_DRAFT)
    assert happy.step().state is State.UP_TO_DATE


def test_other_choices_than_the_published_ones_are_refused(
    device: TestDevice, signed: SignedChannel
) -> None:
    right = golden(SHIPPED_DRAFT)
    wrong = Golden(tokens=right.tokens, choices=(*right.choices[:-1], 5))
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT, golden=(wrong,)), Line(stable=1))
    step = device.step()
    assert step.state is State.REFUSED
    assert "does not choose here" in step.text
    assert device.channel.words[-1].fate is Fate.REFUSED


def test_the_smallest_form_is_fetched(
    device: TestDevice, signed: SignedChannel, weak: Path
) -> None:
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT, delta_from=weak), Line(stable=1))
    assert device.step().state is State.ON_TRIAL
    assert device.channel.fetched(".gguf") == 0
    assert 0 < device.channel.fetched(".delta") < SHIPPED_DRAFT.stat().st_size / 3
    assert name_of(device.store.path(device.pointer.drafting)) == name_of(SHIPPED_DRAFT)


def test_a_delta_for_another_base_is_not_fetched(
    device: TestDevice, signed: SignedChannel, tmp_path: Path
) -> None:
    other = spoiled(tmp_path / "other.gguf", 0.1, seed=7)
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT, delta_from=other), Line(stable=1))
    assert device.step().state is State.ON_TRIAL
    assert device.channel.fetched(".delta") == 0


@pytest.mark.parametrize("damage", ["swapped", "cut", "of another base"])
def test_the_full_file_is_the_way_out(
    device: TestDevice, signed: SignedChannel, weak: Path, tmp_path: Path, damage: str
) -> None:
    """A delta that does not do what it promised, whoever is to blame."""
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT, delta_from=weak), Line(stable=1))
    (delta,) = signed.folder.rglob("*.delta")
    data = delta.read_bytes()
    if damage == "of another base":  # signed, and wrong
        other = spoiled(tmp_path / "other.gguf", 0.1, seed=7)
        custom = signed.releases.targets["demo/1.from-0.delta"].custom
        custom.pop("chunks")
        signed.add("demo/1.from-0.delta", delta_of(other, SHIPPED_DRAFT), custom)
        signed.sign()
    else:
        delta.write_bytes(bytes(len(data)) if damage == "swapped" else data[: len(data) // 2])
    step = device.step()
    assert step.state is State.ON_TRIAL
    wrong = damage == "of another base"
    why = "it was made for another file than is here" if wrong else "the source keeps sending other"
    assert f"its delta was not used: {why}" in step.text
    assert device.channel.fetched(".gguf") == SHIPPED_DRAFT.stat().st_size


def test_an_architecture_that_cannot_be_loaded_is_refused(
    tmp_path: Path, signed: SignedChannel
) -> None:
    factory = write_gguf(tmp_path / "tiny.gguf", TinyModel())
    device = TestDevice(tmp_path / "device", factory, signed)
    strange = write_gguf(tmp_path / "strange.gguf", TinyModel(architecture="unheard-of"))
    signed.publish(Publication(number=1, file=strange), Line(stable=1))
    step = device.step()
    assert step.state is State.REFUSED
    assert "unheard-of, which this llama.cpp does not know" in step.text
    assert device.pointer.drafting == name_of(factory)


@pytest.mark.parametrize(
    ("wish", "problem"),
    [
        ({"runtime": "99.0.1"}, "needs llama-cpp-python 99.0.1"),
        ({"tokenizer": "ab" * 32}, "another vocabulary"),
    ],
)
def test_what_does_not_fit_is_not_fetched(
    device: TestDevice, signed: SignedChannel, wish: dict[str, str], problem: str
) -> None:
    release = Publication(
        number=1,
        file=SHIPPED_DRAFT,
        runtime=wish.get("runtime", "0.1"),
        tokenizer=wish.get("tokenizer"),
    )
    signed.publish(release, Line(stable=1))
    step = device.step()
    assert step.state is State.UNFIT
    assert problem in step.text
    assert device.channel.fetched(".gguf") == 0
    assert device.pointer.refused == ()


def test_a_build_of_the_runtime_is_that_runtime(
    device: TestDevice, signed: SignedChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As wheels for CUDA are called."""
    monkeypatch.setattr("outrider_edge.releases.updater.version", lambda name: "0.3.16+cu124")
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT, runtime="0.3.16"), Line(stable=1))
    assert device.step().state is State.ON_TRIAL


def test_who_is_not_staged_waits(device: TestDevice, signed: SignedChannel) -> None:
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(next=1, percent=0))
    assert device.step().state is State.UP_TO_DATE
    signed.point(Line(next=1, percent=100, held=True))
    assert device.step().state is State.UP_TO_DATE
    signed.point(Line(next=1, percent=100))
    assert device.step().state is State.ON_TRIAL


def test_a_release_is_withdrawn_during_its_trial(device: TestDevice, signed: SignedChannel) -> None:
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(next=1, percent=100))
    device.step()
    signed.point(Line(withdrawn=(1,)))
    step = device.step()
    assert step.state is State.REVERTED
    assert "withdrawn" in step.text
    assert device.channel.words[-1].fate is Fate.LEFT
    assert device.pointer.drafting == name_of(device.factory)
    assert device.pointer.refused == ()


def test_a_release_is_withdrawn_after_it_was_kept(
    device: TestDevice, signed: SignedChannel, tmp_path: Path
) -> None:
    """A device that has the one before it goes back without fetching or trying anything."""
    first = spoiled(tmp_path / "first.gguf", 0.05)
    signed.publish(Publication(number=1, file=first), Line(stable=1))
    device.step()
    store = device.store
    store.write(store.pointer().commit())
    signed.publish(Publication(number=2, file=SHIPPED_DRAFT), Line(stable=1, next=2, percent=100))
    device.step()
    store.write(store.pointer().commit())
    fetched = device.channel.fetched(".gguf")
    signed.point(Line(stable=1, withdrawn=(2,)))
    step = device.step()
    assert (step.state, step.release) == (State.REVERTED, 2)
    assert device.pointer.drafting == name_of(first)
    assert device.channel.fetched(".gguf") == fetched
    assert device.step().state is State.UP_TO_DATE


def test_a_pinned_device_looks_for_nothing(device: TestDevice, signed: SignedChannel) -> None:
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    device.store.write(device.pointer.pin())
    assert device.step().state is State.PINNED
    assert device.channel.read_bytes == {}


def test_a_draft_that_ends_processes_is_taken_back(
    device: TestDevice, signed: SignedChannel
) -> None:
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    device.step()
    ended_starts(device.folder / "starts", MOST_STARTS - 1)
    assert device.step().state is State.ON_TRIAL
    ended_starts(device.folder / "starts", 1)
    step = device.step()
    assert step.state is State.REVERTED
    assert "ended this program" in step.text


def test_a_draft_that_broke_down_live_has_lost_those_answers(
    device: TestDevice, signed: SignedChannel
) -> None:
    """Though a replay of the same answers goes well."""
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    device.step()
    for answer in answers(device.pointer.drafting, MANY):
        device.recent.add(replace(answer, failed=True))
    step = device.step()
    while step.state is State.ON_TRIAL and step.again:
        step = device.step()
    assert step.state is State.REVERTED


def test_where_nothing_can_be_judged_a_trial_ends_all_the_same(
    device: TestDevice, signed: SignedChannel
) -> None:
    """A device that only writes by itself has no answers of the target's: it waited for ever."""
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    assert device.step().state is State.ON_TRIAL
    for day in range(1, 7):
        device.later_s = day * DAY_S
        assert device.step().state is State.ON_TRIAL
    device.later_s = 7 * DAY_S + 60
    step = device.step()
    assert step.state is State.COMMITTED
    assert "0 answers" in step.text


def test_a_device_that_was_off_or_whose_clock_jumps_has_not_waited(
    device: TestDevice, signed: SignedChannel
) -> None:
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    device.later_s = -400 * DAY_S  # a clock that was not set yet
    device.step()
    for device.later_s in (8 * DAY_S, -30 * DAY_S, 0.0, 300 * DAY_S):
        assert device.step().state is State.ON_TRIAL


def test_answers_that_nobody_looked_at_yet_are_no_silence(
    happy: TestDevice, signed: SignedChannel, weak: Path
) -> None:
    signed.publish(Publication(number=1, file=weak), Line(stable=1))
    happy.step()
    for day in range(1, 7):
        happy.later_s = day * DAY_S
        happy.step()
    happy.answer(MANY)
    happy.later_s = 7 * DAY_S + 60
    while (step := happy.step()).state is State.ON_TRIAL:
        assert step.again
    assert step.state is State.REVERTED


def test_a_few_bad_answers_and_then_none_say_neither(
    happy: TestDevice, signed: SignedChannel, weak: Path
) -> None:
    signed.publish(Publication(number=1, file=weak), Line(stable=1))
    happy.step()
    happy.answer(2)
    for day in range(1, 8):
        happy.later_s = day * DAY_S
        assert happy.step().state is State.ON_TRIAL
    happy.later_s = 8 * DAY_S
    step = happy.step()
    assert step.again and "is put back: 2 answers" in step.text
    assert happy.channel.words[-1].fate is Fate.LEFT
    assert not happy.pointer.refused
    assert happy.step().state is State.ON_TRIAL  # anew, unless there is another by now
    happy.answer(MANY)
    while (step := happy.step()).state is State.ON_TRIAL:
        assert step.again
    assert step.state is State.REVERTED


def test_a_draft_that_this_device_never_uses_has_lost(
    device: TestDevice, signed: SignedChannel
) -> None:
    """Its processes cannot load it, though the self-test's could."""
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    device.step()
    for answer in answers(device.pointer.active, 200):
        device.recent.add(answer)
    while (step := device.step()).state is State.ON_TRIAL:
        assert step.again
    assert step.state is State.REVERTED
    assert "200 answers were written without it" in step.text


def test_on_battery_nothing_is_looked_for_but_trials_are_judged(
    happy: TestDevice, signed: SignedChannel, weak: Path
) -> None:
    signed.publish(Publication(number=1, file=weak), Line(stable=1))
    step = happy.step("on battery")
    assert (step.state, step.text) == (State.UP_TO_DATE, "updates wait: on battery")
    assert happy.channel.read_bytes == {}
    happy.step()
    happy.answer(MANY)
    happy.channel = CountingChannel(signed.folder)
    while (step := happy.step("on battery")).state is State.ON_TRIAL:
        assert "is not asked: on battery" in step.text
    assert step.state is State.REVERTED
    assert happy.channel.read_bytes == {}
    assert happy.channel.words == []
    happy.step()
    assert [word.fate for word in happy.channel.words] == [Fate.REVERTED]


def test_a_clock_that_is_wrong_ends_no_trial(
    happy: TestDevice, signed: SignedChannel, weak: Path
) -> None:
    class Asking(CountingChannel):
        def read(self, path: str, first: int = 0, count: int | None = None) -> Iterator[bytes]:
            raise ClockWrong("set the clock")

    signed.publish(Publication(number=1, file=weak), Line(stable=1))
    happy.step()
    happy.channel = Asking(signed.folder)
    happy.answer(MANY)
    while (step := happy.step()).state is State.ON_TRIAL:
        assert "set the clock" in step.text
    assert step.state is State.REVERTED


def test_less_room_than_sessions_count_on_is_refused(signed: SignedChannel, tmp_path: Path) -> None:
    factory = write_gguf(tmp_path / "factory.gguf", TinyModel())
    device = TestDevice(tmp_path / "device", factory, signed)
    small = write_gguf(tmp_path / "small.gguf", TinyModel(seed=1, context=128))
    signed.publish(Publication(number=1, file=small), Line(stable=1))
    step = device.step()
    assert step.state is State.REFUSED
    assert "it holds 128 tokens, the draft of this device 256" in step.text


def test_the_factory_draft_as_a_release_is_refused_once(
    device: TestDevice, signed: SignedChannel, weak: Path
) -> None:
    """It stays the last resort, and is not tried again and again."""
    kept(device, Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    device.answer(MANY)
    signed.publish(Publication(number=2, file=weak), Line(stable=2))
    assert device.step().state is State.REFUSED
    assert device.step().state is State.UP_TO_DATE
    device.store.write(device.pointer.roll_back())
    assert device.pointer.active == name_of(weak)


def test_a_delta_that_is_not_given_is_done_without(
    device: TestDevice, signed: SignedChannel, weak: Path
) -> None:
    class WithoutDeltas(CountingChannel):
        def read(self, path: str, first: int = 0, count: int | None = None) -> Iterator[bytes]:
            if path.endswith(".delta"):
                raise NotOffered("the channel has no such file")
            return super().read(path, first, count)

    signed.publish(Publication(number=1, file=SHIPPED_DRAFT, delta_from=weak), Line(stable=1))
    device.channel = WithoutDeltas(signed.folder)
    assert device.step().state is State.ON_TRIAL
    assert device.pointer.drafting == name_of(SHIPPED_DRAFT)


@pytest.mark.parametrize("delta", [True, False])
def test_what_lies_there_already_is_what_was_signed_or_goes(
    device: TestDevice, signed: SignedChannel, weak: Path, tmp_path: Path, delta: bool
) -> None:
    base = weak if delta else None
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT, delta_from=base), Line(stable=1))
    there = device.store.path(name_of(SHIPPED_DRAFT))
    there.parent.mkdir(parents=True)
    there.write_bytes(spoiled(tmp_path / "other.gguf", 0.1).read_bytes())
    assert device.step().state is State.ON_TRIAL
    assert name_of(there) == name_of(SHIPPED_DRAFT)


def test_room_is_looked_for_before_the_first_byte(
    device: TestDevice, signed: SignedChannel
) -> None:
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    store = DraftStore(device.folder, device.factory, room=lambda folder: 1 << 20)
    updater = Updater(store, device.recent, device.channel, line="demo", root=signed.root_bytes)
    with pytest.raises(StoreFailed, match="are needed"):
        updater.step(device.phases.append, lambda there, of: None)
    assert device.channel.fetched(".gguf") == 0
    assert device.pointer.drafting == name_of(device.factory)


def test_where_a_delta_and_what_it_makes_do_not_fit_the_full_file_may(
    device: TestDevice, signed: SignedChannel, weak: Path
) -> None:
    wish = Publication(number=1, file=SHIPPED_DRAFT, delta_from=weak)
    signed.publish(wish, Line(stable=1))
    free = SHIPPED_DRAFT.stat().st_size + (1 << 20) + 1_000  # the slack, and less than a delta
    store = DraftStore(device.folder, device.factory, room=lambda folder: free)
    updater = Updater(store, device.recent, device.channel, line="demo", root=signed.root_bytes)
    step = updater.step(device.phases.append, lambda there, of: None)
    assert step.state is State.ON_TRIAL
    assert device.channel.fetched(".delta") == 0
    assert device.channel.fetched(".gguf") == SHIPPED_DRAFT.stat().st_size


def test_what_a_wrong_delta_made_leaves_its_room_to_the_full_file(
    device: TestDevice, signed: SignedChannel, weak: Path, tmp_path: Path
) -> None:
    path = "demo/1.from-0.delta"
    wrong = delta_of(weak, spoiled(tmp_path / "other.gguf", 0.2))  # it makes another file
    base = {"kind": "delta", "base_sha256": name_of(weak)}
    signed.add(path, wrong, base)
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT, forms=(path,)), Line(stable=1))
    most = SHIPPED_DRAFT.stat().st_size + len(wrong) + (1 << 20) + 4_096

    def room(folder: Path) -> int:
        incoming = device.folder / "incoming"
        return most - sum(file.stat().st_size for file in incoming.glob("*"))

    store = DraftStore(device.folder, device.factory, room=room)
    updater = Updater(store, device.recent, device.channel, line="demo", root=signed.root_bytes)
    step = updater.step(device.phases.append, lambda there, of: None)
    assert step.state is State.ON_TRIAL
    assert device.channel.fetched(".delta") and device.channel.fetched(".gguf")


def test_one_updater_at_a_time(device: TestDevice, signed: SignedChannel) -> None:
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    with device.store.changing(), pytest.raises(Busy, match="another process"):
        device.step()


def test_without_a_channel_the_old_draft_goes_on(
    device: TestDevice, signed: SignedChannel, tmp_path: Path
) -> None:
    device.channel = CountingChannel(tmp_path / "nowhere")
    with pytest.raises(NotOffered):
        device.step()
    assert device.pointer.drafting == name_of(device.factory)
    assert device.phases == [Phase.LOOKING]


def test_a_trial_goes_on_without_a_channel_and_says_so(
    device: TestDevice, signed: SignedChannel, tmp_path: Path
) -> None:
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    device.step()
    device.channel = CountingChannel(tmp_path / "nowhere")
    step = device.step()
    assert step.state is State.ON_TRIAL
    assert "the channel is not asked" in step.text


def test_a_trial_goes_on_where_its_memory_was_lost(
    device: TestDevice, signed: SignedChannel
) -> None:
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    device.step()
    (device.folder / "trial.json").write_text("half a")
    assert device.step().state is State.REVERTED
    assert device.step().state is State.ON_TRIAL
    assert device.pointer.refused == ()


def test_a_word_that_nobody_heard_is_said_again(
    device: TestDevice, signed: SignedChannel, tmp_path: Path
) -> None:
    class Deaf(CountingChannel):
        def report(self, word: Word) -> None:
            raise CloudUnavailable("not now")

    signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    device.channel = Deaf(signed.folder)
    device.step()
    device.channel = CountingChannel(signed.folder)
    device.step()
    assert [word.fate for word in device.channel.words] == [Fate.ON_TRIAL]
    device.step()
    assert len(device.channel.words) == 1


@pytest.mark.parametrize(
    "spoilt",
    [
        {"device": "zz"},
        {"release": -3},
        {"line": "../x"},
        {"pairs": [{"domain": "", "positions": 1, "new": -1, "old": 0}]},
        {},
    ],
)
def test_a_word_that_the_disk_has_spoilt_is_thrown_away(
    device: TestDevice, signed: SignedChannel, spoilt: dict[str, Any]
) -> None:
    """No cloud could be told it."""
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    pair = {"domain": "", "positions": 1, "new": 1, "old": 0, "answers": 1}
    good = {"device": "0" * 32, "line": "demo", "release": 3, "fate": "committed", "pairs": [pair]}
    device.folder.mkdir()
    device.store.word.write_text(json.dumps(good | spoilt))
    device.step("on battery")
    assert device.store.word.exists()
    device.step()
    assert [word.release for word in device.channel.words] == ([1] if spoilt else [3, 1])


def test_two_devices_have_two_numbers(tmp_path: Path, signed: SignedChannel) -> None:
    """And each the same one for ever."""
    one, two = (TestDevice(tmp_path / n, SHIPPED_DRAFT, signed).store for n in ("one", "two"))
    assert one.device() == one.device() != two.device()
    assert len(one.device()) == 16


def test_without_recent_answers_there_is_no_trial(
    device: TestDevice, signed: SignedChannel
) -> None:
    """Only the self-test: there will never be anything to judge by."""
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    device.recent = RecentAnswers(device.folder / "recent.sqlite", 0)
    step = device.step()
    assert (step.state, step.text) == (State.COMMITTED, "release 1 is kept, untried")
    assert device.pointer.active == name_of(SHIPPED_DRAFT)


def kept(device: TestDevice, wish: Publication, line: Line) -> None:
    """A release that this device has tried and kept."""
    device.signed.publish(wish, line)
    assert device.step().state is State.ON_TRIAL
    device.store.write(device.pointer.commit())


def test_what_is_withdrawn_is_no_measure_of_what_follows(
    device: TestDevice, signed: SignedChannel, tmp_path: Path
) -> None:
    """It is left first, so that the next one is compared with a draft that may be kept."""
    fix = spoiled(tmp_path / "fix.gguf", 0.1)
    kept(device, Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    signed.publish(Publication(number=2, file=fix), Line(stable=2, withdrawn=(1,)))
    device.answer(MANY)
    step = device.step()
    assert (step.state, step.again) == (State.REVERTED, True)
    assert device.pointer.active == name_of(device.factory)
    assert device.step().state is State.ON_TRIAL
    assert device.pointer.drafting == name_of(fix)


def test_what_is_withdrawn_is_left_though_nothing_else_can_be_had(
    device: TestDevice, signed: SignedChannel, weak: Path
) -> None:
    kept(device, Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    signed.publish(Publication(number=2, file=weak), Line(stable=2, withdrawn=(1,)))
    for file in (device.folder / "files").glob("*"):
        assert file.stat().st_size
    updater = Updater(
        DraftStore(device.folder, device.factory, room=lambda folder: 0),
        device.recent,
        device.channel,
        line="demo",
        root=signed.root_bytes,
    )
    updater.step(device.phases.append, lambda there, of: None)
    assert device.pointer.active == name_of(device.factory)


def test_a_trial_against_what_is_withdrawn_is_called_off(
    device: TestDevice, signed: SignedChannel, tmp_path: Path
) -> None:
    fix = spoiled(tmp_path / "fix.gguf", 0.1)
    kept(device, Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    signed.publish(Publication(number=2, file=fix), Line(stable=1, next=2, percent=100))
    assert device.step().state is State.ON_TRIAL
    signed.point(Line(next=2, percent=100, withdrawn=(1,)))
    step = device.step()
    assert step.state is State.REVERTED
    assert "compared with was withdrawn" in step.text
    assert not device.pointer.refused
    device.step()
    assert device.pointer.active == name_of(device.factory)
    assert device.step().state is State.ON_TRIAL


def test_a_device_that_was_away_passes_over_all_that_was_withdrawn(
    device: TestDevice, signed: SignedChannel, tmp_path: Path
) -> None:
    second = spoiled(tmp_path / "second.gguf", 0.1)
    kept(device, Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    kept(device, Publication(number=2, file=second), Line(stable=2))
    signed.point(Line(withdrawn=(2, 1)))
    device.step()
    assert device.pointer.active == name_of(device.factory)
    assert device.step().state is State.UP_TO_DATE


def test_the_same_file_under_another_number_is_that_release(
    device: TestDevice, signed: SignedChannel, weak: Path
) -> None:
    kept(device, Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    wish = Publication(number=2, file=SHIPPED_DRAFT)
    signed.publish(wish, Line(stable=2, withdrawn=(1,)))
    assert device.step().state is State.UP_TO_DATE
    assert device.pointer.number(device.pointer.active) == 2
    assert (device.channel.words[-1].release, device.channel.words[-1].fate) == (2, Fate.COMMITTED)
    signed.publish(Publication(number=3, file=weak), Line(stable=3, withdrawn=(1,)))
    device.store.write(device.pointer.refuse(name_of(weak)))
    assert device.step().state is State.UP_TO_DATE
    assert device.pointer.active == name_of(SHIPPED_DRAFT)


def test_a_factory_draft_that_was_withdrawn_as_a_release_is_all_there_is(
    device: TestDevice, signed: SignedChannel, weak: Path
) -> None:
    signed.publish(Publication(number=2, file=weak), Line(stable=2))
    assert device.step().state is State.UP_TO_DATE
    signed.point(Line(withdrawn=(2,)))
    for _ in range(3):
        assert device.step().state is State.UP_TO_DATE
    assert [(word.release, word.fate) for word in device.channel.words] == [(2, Fate.COMMITTED)]
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1, withdrawn=(2,)))
    assert device.step().state is State.ON_TRIAL  # though it is older


def test_what_was_merely_replaced_is_no_failure(
    device: TestDevice, signed: SignedChannel, tmp_path: Path
) -> None:
    """The fleet would count it against a release that nobody found fault with."""
    newer = spoiled(tmp_path / "newer.gguf", 0.1)
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(next=1, percent=100))
    device.step()
    signed.publish(Publication(number=2, file=newer), Line(next=2, percent=100))
    assert device.step().state is State.REVERTED
    assert [word.fate for word in device.channel.words] == [Fate.ON_TRIAL, Fate.LEFT]


def test_what_is_withdrawn_is_left_for_what_was_there_before(
    device: TestDevice, signed: SignedChannel
) -> None:
    """Also where the channel has nothing else."""
    kept(device, Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    signed.point(Line(withdrawn=(1,)))
    step = device.step()
    assert "release 1 was withdrawn" in step.text
    assert device.pointer.active == name_of(device.factory)
    assert device.channel.words[-1].fate is Fate.LEFT
    assert device.step().state is State.UP_TO_DATE


def test_what_was_only_followed_by_others_is_kept(
    device: TestDevice, signed: SignedChannel, tmp_path: Path
) -> None:
    """A device that has refused the newer ones does not lose the last good one, nor does one that
    is not among the first of the next.
    """
    kept(device, Publication(number=2, file=SHIPPED_DRAFT), Line(stable=2))
    other = spoiled(tmp_path / "other.gguf", 0.1)
    device.store.write(device.pointer.refuse(name_of(other)))
    signed.publish(Publication(number=3, file=other), Line(stable=3))
    assert device.step().state is State.UP_TO_DATE
    signed.publish(Publication(number=1, file=device.factory), Line(stable=1, next=3, percent=0))
    assert device.step().state is State.UP_TO_DATE
    assert device.pointer.active == name_of(SHIPPED_DRAFT)


def test_a_release_that_says_nothing_of_itself_must_at_least_choose(
    tmp_path: Path, signed: SignedChannel
) -> None:
    factory = write_gguf(tmp_path / "tiny.gguf", TinyModel())
    device = TestDevice(tmp_path / "device", factory, signed)
    broken = write_gguf(tmp_path / "broken.gguf", TinyModel(poisoned=5))
    signed.publish(Publication(number=1, file=broken), Line(stable=1))
    step = device.step()
    assert step.state is State.REFUSED, step.text


def test_a_next_that_does_not_fit_does_not_hide_what_is_stable(
    device: TestDevice, signed: SignedChannel, tmp_path: Path
) -> None:
    other = spoiled(tmp_path / "other.gguf", 0.1)
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    wish = Publication(number=2, file=other, runtime="99.0")
    signed.publish(wish, Line(stable=1, next=2, percent=100))
    assert (step := device.step()).state is State.ON_TRIAL
    assert step.release == 1


def test_a_next_that_is_withheld_does_not_hide_what_is_stable(
    device: TestDevice, signed: SignedChannel, tmp_path: Path
) -> None:
    class Halting(CountingChannel):
        def read(self, path: str, first: int = 0, count: int | None = None) -> Iterator[bytes]:
            if path.endswith(".2.gguf"):
                raise CloudRefused("release 2 is halted")
            return super().read(path, first, count)

    other = spoiled(tmp_path / "other.gguf", 0.1)
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    wish = Publication(number=2, file=other)
    signed.publish(wish, Line(stable=1, next=2, percent=100))
    device.channel = Halting(signed.folder)
    assert (step := device.step()).release == 1
    device.store.write(device.pointer.commit())
    step = device.step()
    assert step.state is State.UNAVAILABLE
    assert "halted" in step.text


def test_damaged_files_are_fetched_again(device: TestDevice, signed: SignedChannel) -> None:
    kept(device, Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    installed = device.store.path(name_of(SHIPPED_DRAFT))
    installed.write_bytes(installed.read_bytes()[:5000])
    assert device.step().state is State.ON_TRIAL
    assert name_of(installed) == name_of(SHIPPED_DRAFT)


def rot(file: Path) -> None:
    """Its header can be read, and llama.cpp cannot load it."""
    file.write_bytes(file.read_bytes().replace(b"token_embd", b"token_emba"))


def test_a_disk_that_spoils_drafts_speaks_against_no_release(
    device: TestDevice, signed: SignedChannel, tmp_path: Path
) -> None:
    kept(device, Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    fix = spoiled(tmp_path / "fix.gguf", 0.1)
    signed.publish(Publication(number=2, file=fix), Line(stable=2))
    rot(device.store.path(name_of(SHIPPED_DRAFT)))
    with pytest.raises(ProbeInterrupted, match="damaged"):
        device.step()
    assert device.pointer.active == name_of(device.factory)
    assert device.step().state is State.ON_TRIAL

    device.answer(3)
    rot(device.store.path(name_of(fix)))
    with pytest.raises(ProbeInterrupted, match="damaged"):
        device.step()
    step = device.step()
    assert step.state is State.ON_TRIAL, step.text
    assert not device.pointer.refused


def test_weights_that_the_disk_has_spoilt_speak_against_no_release(
    device: TestDevice, signed: SignedChannel, tmp_path: Path
) -> None:
    """It loads, and chooses badly."""
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    device.step()
    worse = spoiled(tmp_path / "worse.gguf", 0.9).read_bytes()
    device.store.path(name_of(SHIPPED_DRAFT)).write_bytes(worse)
    device.answer(40)
    with pytest.raises(ProbeInterrupted, match="damaged"):
        for _ in range(4):
            device.step()
    assert device.step().state is State.ON_TRIAL
    assert not device.pointer.refused


def test_a_trial_that_a_machine_cannot_judge_is_called_off(
    happy: TestDevice, signed: SignedChannel, weak: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the system ends every process that tries two drafts."""

    def ended(*_: object) -> None:
        raise ProbeInterrupted("ended from outside")

    signed.publish(Publication(number=1, file=weak), Line(stable=1))
    happy.step()
    happy.answer(MANY)
    monkeypatch.setattr("outrider_edge.releases.rehearsal.probe", ended)
    for _ in range(20):
        with pytest.raises(ProbeInterrupted):
            happy.step()
    step = happy.step()
    assert "cannot be judged on this machine" in step.text
    assert happy.pointer.drafting == name_of(happy.factory)
    assert not happy.pointer.refused


def test_what_cannot_be_tried_does_not_hide_what_is_stable(
    device: TestDevice, signed: SignedChannel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the system ends every process that tries it; another day it may be otherwise."""
    big = spoiled(tmp_path / "big.gguf", 0.01)
    tries = 0

    def ended(drafts: list[Files], *given: Any) -> Findings:
        nonlocal tries
        if any(name_of(big) in str(file) for file, _ in drafts):
            tries += 1
            raise ProbeInterrupted("ended from outside")
        return probe(drafts, *given)

    signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    signed.publish(Publication(number=2, file=big), Line(stable=1, next=2, percent=100))
    monkeypatch.setattr("outrider_edge.releases.rehearsal.probe", ended)
    for _ in range(20):
        with pytest.raises(ProbeInterrupted):
            device.step()
    step = device.step()
    assert (step.state, step.release) == (State.ON_TRIAL, 1)
    device.store.write(device.pointer.call_off())
    assert tries == 20 and not device.pointer.refused
    device.later_s = DAY_S
    with pytest.raises(ProbeInterrupted):
        device.step()


def test_two_drafts_that_do_not_fit_beside_each_other_are_not_to_blame(
    device: TestDevice, signed: SignedChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short_of_memory(drafts: list[Files], *given: Any) -> Findings:
        if len(drafts) > 1:
            raise DraftError("the draft ended the process that tried it (signal 6)")
        return probe(drafts, *given)

    signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    monkeypatch.setattr("outrider_edge.releases.rehearsal.probe", short_of_memory)
    with pytest.raises(ProbeInterrupted, match="no room for two drafts"):
        device.step()
    assert not device.pointer.refused


def test_a_draft_in_use_that_does_not_load_is_the_measure_of_nothing(
    device: TestDevice, signed: SignedChannel
) -> None:
    rot(device.factory)
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    with pytest.raises(ProbeInterrupted, match="in use cannot be tried: weak"):
        device.step()
    assert not device.pointer.refused


def test_damaged_memory_of_answers_is_begun_anew(device: TestDevice, signed: SignedChannel) -> None:
    device.answer(3)
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    (device.folder / "recent.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(StoreFailed, match="recent answers"):
        device.step()
    assert device.step().state is State.ON_TRIAL


def test_a_draft_that_is_always_slow_has_lost() -> None:
    """However well it is accepted, and before acceptance is clear."""
    record = TrialRecord(name="a", release=1, seen=0, looked_s=0.0)
    same = Compared("", 100, 50, 50)
    looks = 0
    while record.outcome is Outcome.GOES_ON:
        record, looks = record.looked([same], slow=True), looks + 1
    assert record.outcome is Outcome.REVERT
    assert looks < 12
    fair = TrialRecord(name="a", release=1, seen=0, looked_s=0.0)
    for look in range(20):
        fair = fair.looked([same], slow=look % 2 == 0)
    assert fair.outcome is Outcome.GOES_ON


def test_looks_at_too_little_to_tell_a_pace_by_say_nothing_of_it() -> None:
    """Devices with short answers would keep a slow draft, else."""
    record = TrialRecord(name="a", release=1, seen=0, looked_s=0.0)
    same = Compared("", 10, 5, 5)
    for _ in range(20):
        record = record.looked([same], slow=None).looked([same], slow=True)
    assert record.outcome is Outcome.REVERT
    untold = Findings(drafts=(Tried(choices=(), step_s=0.0), Tried(choices=(), step_s=0.0)))
    assert is_slow(untold) is None
    told = Findings(drafts=(Tried(choices=(), step_s=0.5), Tried(choices=(), step_s=0.1)))
    assert is_slow(told) is True


def test_a_pointer_that_the_disk_does_not_give_is_not_taken_for_none(
    device: TestDevice, signed: SignedChannel
) -> None:
    """Another would be written in its place, and what it names removed."""
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    device.folder.mkdir()
    (device.folder / "pointer.json").mkdir()
    with pytest.raises(StoreFailed, match="Is a directory"):
        device.step()
    assert not device.channel.read_bytes


def test_the_same_file_for_others_does_not_keep_what_was_withdrawn(
    device: TestDevice, signed: SignedChannel, tmp_path: Path
) -> None:
    fix = spoiled(tmp_path / "fix.gguf", 0.1)
    kept(device, Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    signed.publish(Publication(number=2, file=fix), Line(stable=2, withdrawn=(1,)))
    wish = Publication(number=3, file=SHIPPED_DRAFT)
    signed.publish(wish, Line(stable=2, next=3, percent=0, withdrawn=(1,)))
    device.step()
    assert device.pointer.active == name_of(device.factory)
    assert device.step().release == 2


def test_what_cannot_be_read_stands_in_nobodys_way(
    device: TestDevice, signed: SignedChannel, tmp_path: Path
) -> None:
    """A newer publisher may have forms that this device does not know."""
    kept(device, Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    fix = spoiled(tmp_path / "fix.gguf", 0.1)
    signed.publish(Publication(number=2, file=fix), Line(stable=2))
    signed.add("demo/3.magic", b"x", {"kind": "magic", "base_sha256": "0" * 64})
    wish = Publication(number=3, file=fix, forms=("demo/3.magic",))
    signed.publish(wish, Line(stable=2, next=3, percent=100, withdrawn=(1,)))
    device.step()
    assert device.pointer.active == name_of(device.factory)
    assert device.step().release == 2
    device.store.write(device.pointer.commit())
    step = device.step()
    assert step.state is State.UNAVAILABLE
    assert "release 3 cannot be read" in step.text
    assert device.pointer.active == name_of(fix)


def test_a_next_whose_file_is_gone_does_not_hide_what_is_stable(
    device: TestDevice, signed: SignedChannel, tmp_path: Path
) -> None:
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    wish = Publication(number=2, file=spoiled(tmp_path / "other.gguf", 0.1))
    signed.publish(wish, Line(stable=1, next=2, percent=100))
    for file in (signed.folder / "targets" / "demo").glob("*.2.gguf"):
        file.unlink()
    assert device.step().release == 1
    device.store.write(device.pointer.commit())
    step = device.step()
    assert step.state is State.UNAVAILABLE
    assert "release 2 is not to be had" in step.text


def test_a_next_with_wrong_bytes_does_not_hide_what_is_stable(
    device: TestDevice, signed: SignedChannel, tmp_path: Path
) -> None:
    """As where a store was restored from a wrong copy; metadata says what should be there."""
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    wish = Publication(number=2, file=spoiled(tmp_path / "other.gguf", 0.1))
    signed.publish(wish, Line(stable=1, next=2, percent=100))
    for file in (signed.folder / "targets" / "demo").glob("*.2.gguf"):
        file.write_bytes(bytes(file.stat().st_size))
    assert device.step().release == 1
    device.store.write(device.pointer.commit())
    step = device.step()
    assert step.state is State.UNAVAILABLE
    assert "release 2 is not to be had" in step.text
    assert device.pointer.active == name_of(SHIPPED_DRAFT)


def test_what_is_no_draft_is_refused(
    device: TestDevice, signed: SignedChannel, tmp_path: Path
) -> None:
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    custom = signed.releases.targets["demo/1.gguf"].unrecognized_fields["custom"]
    del custom["chunks"]
    signed.add("demo/1.gguf", b"no model at all", custom)
    signed.sign()
    assert device.step().state is State.REFUSED
    assert device.channel.words[-1].fate is Fate.REFUSED


def test_a_damaged_base_takes_the_blame_of_no_release(
    signed: SignedChannel, tmp_path: Path
) -> None:
    """The full file is fetched where what a smaller form needs is not what it should be."""
    device = TestDevice(tmp_path / "device", spoiled(tmp_path / "weak.gguf", 1.0), signed)
    kept(device, Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    installed = device.store.path(name_of(SHIPPED_DRAFT))
    data = bytearray(installed.read_bytes())
    data[-200_000:-100_000] = bytes(100_000)
    installed.write_bytes(data)
    second = spoiled(tmp_path / "second.gguf", 0.1)
    lora = tmp_path / "lora.gguf"
    lora.write_bytes(b"never fetched")
    wish = Publication(number=2, file=second, adapter=lora, adapter_base=SHIPPED_DRAFT)
    signed.publish(wish, Line(stable=2))
    assert device.step().state is State.ON_TRIAL
    assert device.pointer.drafting == name_of(second)


def test_answers_count_though_the_memory_of_others_was_lost(
    device: TestDevice, signed: SignedChannel
) -> None:
    """Their numbers begin again."""
    device.answer(MANY)
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    assert device.step().state is State.ON_TRIAL
    (device.folder / "recent.sqlite").unlink()
    device.answer(4)
    step = device.step()
    assert step.state is State.ON_TRIAL
    assert "4 answers" in step.text


def test_answers_in_between_by_others_are_no_sign_of_neglect() -> None:
    record = TrialRecord(name="a", release=1, seen=0, looked_s=0.0)
    for look in range(100):
        record = record.heard(0.0, seen=look, answers=9, ours=look % 10 == 0)
    assert record.outcome is Outcome.GOES_ON
    for look in range(100, 130):
        record = record.heard(0.0, seen=look, answers=9, ours=0)
    assert record.outcome is Outcome.REVERT


def test_what_came_of_another_release_makes_room(device: TestDevice, signed: SignedChannel) -> None:
    """It was half fetched when the next one took its place."""
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    left = device.store.incoming("0" * 64)
    left.parent.mkdir(parents=True)
    left.write_bytes(bytes(1 << 20))
    store = DraftStore(
        device.folder, device.factory, room=lambda folder: 0 if left.exists() else 1 << 30
    )
    updater = Updater(store, device.recent, device.channel, line="demo", root=signed.root_bytes)
    step = updater.step(device.phases.append, lambda there, of: None)
    assert step.state is State.ON_TRIAL


def test_what_has_come_of_stable_stays_though_next_is_asked_for_first(
    device: TestDevice, signed: SignedChannel, tmp_path: Path
) -> None:
    """No chunk of it is asked for again."""
    signed.publish(Publication(number=1, file=SHIPPED_DRAFT), Line(stable=1))
    wish = Publication(number=2, file=spoiled(tmp_path / "other.gguf", 0.1))
    signed.publish(wish, Line(stable=1, next=2, percent=100))
    for file in (signed.folder / "targets" / "demo").glob("*.2.gguf"):
        file.unlink()
    there = device.store.incoming(name_of(SHIPPED_DRAFT))
    there.parent.mkdir(parents=True)
    there.write_bytes(SHIPPED_DRAFT.read_bytes()[: 20 * CHUNK_BYTES])
    assert device.step().release == 1
    fetched = device.channel.fetched(".1.gguf")
    assert fetched == SHIPPED_DRAFT.stat().st_size - 20 * CHUNK_BYTES
