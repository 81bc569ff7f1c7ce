"""One device on its way from one draft to the next: look, fetch, test, try, and keep or take back.

`step` does what can be done now and returns; where the device dies, the next `step` goes on. At no
moment is there less than one draft known to be good, and no draft that failed is tried again. It
knows neither connections nor how often to step.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from typing import Final

from outrider_edge.errors import CloudRefused, DraftError, NetworkError, PeerError
from outrider_edge.llama.gguf_header import read_header
from outrider_edge.releases.catalogue import Catalogue, Offer
from outrider_edge.releases.examination import (
    UNTOLD,
    compared,
    golden_batches,
    golden_texts,
    lived,
    replay_objection,
    self_test_objection,
    speed_objection,
)
from outrider_edge.releases.installer import Installer, Told, names_of
from outrider_edge.releases.messenger import Listener, Messenger
from outrider_edge.releases.pointer import Pointer
from outrider_edge.releases.probe import Text, probe
from outrider_edge.releases.recent import RecentAnswer, RecentAnswers
from outrider_edge.releases.report import Fate
from outrider_edge.releases.step import Phase, State, Step
from outrider_edge.releases.store import DraftStore
from outrider_edge.releases.trial import Outcome
from outrider_edge.releases.trial_record import TrialRecord
from outrider_protos.fingerprint import fingerprint
from outrider_protos.release import Line

_REPLAYED: Final = 12  # recent answers, before a trial
_LOOKED_AT: Final = 16  # answers of a trial, in one step


class Updater:
    """One process at a time. Raises EdgeError; the draft in use then stays.

    `line` names the releases to follow, `root` is what is trusted to begin with, `clock` gives
    seconds since 1970.
    """

    def __init__(
        self,
        store: DraftStore,
        recent: RecentAnswers,
        channel: Listener,
        *,
        line: str,
        root: bytes,
        threads: int = 1,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._recent, self._channel = store, recent, channel
        self._line, self._root, self._threads = line, root, threads
        self._clock = clock
        self._messenger = Messenger(store, channel, line)

    def step(self, told: Callable[[Phase], None], progress: Told) -> Step:
        """Do what there is to do. Raises Busy while another process does."""
        with self._store.changing():
            self._messenger.deliver()
            self._store.heal()
            pointer = self._store.pointer()
            if pointer.trial is not None:
                return self._go_on(pointer, pointer.trial, told)
            if pointer.pinned:
                return Step(State.PINNED, None, "pinned: nothing new is looked for")
            return self._look(pointer, told, progress)

    # ---- something new

    def _look(self, pointer: Pointer, told: Callable[[Phase], None], progress: Told) -> Step:
        told(Phase.LOOKING)
        catalogue = Catalogue(self._channel, self._store.metadata, self._root)
        line = catalogue.line(self._line)
        if line is None:
            return Step(State.UP_TO_DATE, None, f"nothing was released on line {self._line} yet")
        number = pointer.number(pointer.active)
        withdrawn = number in line.withdrawn
        step = Step(State.UP_TO_DATE, None, "up to date")
        for offer, open_ in self._offers(catalogue, line):
            if pointer.active in names_of(offer):
                return step
            older = number is not None and offer.release.number < number and not withdrawn
            if open_ and not older and not names_of(offer) & set(pointer.refused):
                step = self._take(offer, pointer, told, progress)
                if step.state is not State.UNFIT:
                    return step
        if not withdrawn:
            return step  # what was followed by others that are not for this device may be kept
        return self._go_back(pointer, f"release {number} was withdrawn")

    def _offers(self, catalogue: Catalogue, line: Line) -> list[tuple[Offer, bool]]:
        """In the order of preference, and whether this device may have them."""
        staged = line.staged(self._line, self._store.device())
        numbers = ((line.next, staged), (line.stable, True))
        return [(catalogue.offer(self._line, n), open_) for n, open_ in numbers if n is not None]

    def _take(
        self, offer: Offer, pointer: Pointer, told: Callable[[Phase], None], progress: Told
    ) -> Step:
        number = offer.release.number
        if pointer.previous in names_of(offer):
            return self._go_back(pointer, f"release {number} again, which was in use before")
        if (problem := self._unfit(offer, pointer)) is not None:
            return Step(State.UNFIT, number, f"release {number} does not fit: {problem}")
        told(Phase.FETCHING)
        try:
            name = Installer(self._channel, self._store, progress).install(offer, pointer)
        except CloudRefused as error:  # it was halted: the one before it may still be had
            return Step(State.UNFIT, number, f"release {number} is not to be had: {error}")
        if (objection := self._objection(offer, name, pointer, told)) is not None:
            return self._refuse(offer, pointer, objection)
        told(Phase.BEGINNING)
        return self._begin(offer, name, pointer)

    def _go_back(self, pointer: Pointer, text: str) -> Step:
        """To the draft before, which was in use and needs no trial."""
        back = pointer.go_back()
        self._tell_in_use(back, pointer.number(pointer.active))
        self._store.write(back)
        return Step(State.COMMITTED, back.number(back.active), text)

    def _tell_in_use(self, pointer: Pointer, left: int | None) -> None:
        """Which release drafts now; without any, that the one it had was left."""
        number = pointer.number(pointer.active)
        if number is not None:
            self._messenger.say(number, Fate.COMMITTED, ())
        elif left is not None:
            self._messenger.say(left, Fate.REVERTED, ())

    def _unfit(self, offer: Offer, pointer: Pointer) -> str | None:
        """What may be otherwise another day: nothing is remembered of it."""
        needs, runtime = offer.release.requirements, version("llama_cpp_python")
        if _numbers(runtime) < _numbers(needs.runtime):
            return f"it needs llama-cpp-python {needs.runtime}, this is {runtime}"
        file, _ = self._store.paths(pointer.factory)
        if fingerprint(read_header(file).tokenizer()).hex() != needs.tokenizer:
            return "it has another vocabulary than the draft of this device"
        return None

    def _objection(
        self, offer: Offer, name: str, pointer: Pointer, told: Callable[[Phase], None]
    ) -> str | None:
        """Of the self-test, then of a replay of this device's own answers."""
        golden = offer.release.golden or UNTOLD
        drafts = [self._store.paths(name), self._store.paths(pointer.active)]
        since = max(0, self._recent.newest() - _REPLAYED)
        answers = self._recent.after(since, _REPLAYED)
        told(Phase.TESTING)
        try:
            found = probe(drafts, golden_texts(golden), golden_batches(golden), self._threads)
            if (objection := self_test_objection(golden, found)) is not None:
                return objection
            told(Phase.REPLAYING)
            replayed = probe(drafts, [_text(answer) for answer in answers], (), self._threads)
        except DraftError as error:
            return str(error)
        return replay_objection(compared(answers, replayed)) or speed_objection(replayed)

    def _refuse(self, offer: Offer, pointer: Pointer, objection: str) -> Step:
        for name in sorted(names_of(offer)):
            pointer = pointer.refuse(name)
        number = offer.release.number
        self._messenger.say(number, Fate.REFUSED, ())
        self._store.write(pointer)
        self._store.forget_beginnings()
        return Step(State.REFUSED, number, f"release {number} is refused: {objection}", again=True)

    def _begin(self, offer: Offer, name: str, pointer: Pointer) -> Step:
        number = offer.release.number
        if not self._recent.keeps:
            self._messenger.say(number, Fate.COMMITTED, ())
            self._store.write(pointer.begin_trial(name, number).commit())
            self._store.forget_beginnings()
            return Step(State.COMMITTED, number, f"release {number} is kept, untried")
        seen, now_s = self._recent.newest(), self._clock()
        record = TrialRecord(name=name, release=number, seen=seen, heard_s=now_s)
        record.save(self._store.trial_record)
        self._messenger.say(number, Fate.ON_TRIAL, record.pairs)
        self._store.forget_beginnings()
        self._store.write(pointer.begin_trial(name, number))
        return Step(State.ON_TRIAL, number, f"release {number} is on trial from the next answer on")

    # ---- a trial

    def _go_on(self, pointer: Pointer, name: str, told: Callable[[Phase], None]) -> Step:
        told(Phase.JUDGING)
        record = TrialRecord.load(self._store.trial_record, name)
        if record is None:
            self._store.write(pointer.call_off())
            return Step(State.REVERTED, None, "a trial nobody knows of was called off", again=True)
        trouble = ""
        try:
            if self._withdrawn(record):
                return self._call_off(pointer, record)
        except (NetworkError, PeerError) as error:  # the trial goes on
            trouble = f"; the channel cannot be asked: {error}"
        if self._store.starts.too_many:
            text = "it ended this program several times"
            return self._end(pointer, record, Outcome.REVERT, text)
        answers = self._recent.after(record.seen, _LOOKED_AT)
        ours = [answer for answer in answers if answer.draft == name]
        try:
            record, text = self._looked(record, pointer, ours, answers)
        except DraftError as error:
            return self._end(pointer, record, Outcome.REVERT, str(error))
        if (outcome := record.outcome(self._clock())) is not Outcome.GOES_ON:
            told(Phase.ENDING)
        return self._end(pointer, record, outcome, text + trouble)

    def _call_off(self, pointer: Pointer, record: TrialRecord) -> Step:
        self._tell_in_use(pointer.call_off(), record.release)
        self._store.write(pointer.call_off())
        text = f"release {record.release} was withdrawn or replaced during its trial"
        return Step(State.REVERTED, record.release, text, again=True)

    def _looked(
        self,
        record: TrialRecord,
        pointer: Pointer,
        ours: list[RecentAnswer],
        answers: list[RecentAnswer],
    ) -> tuple[TrialRecord, str]:
        if answers:
            record = replace(record, seen=answers[-1].number)
        if ours:
            drafts = [self._store.paths(record.name), self._store.paths(pointer.active)]
            found = probe(drafts, [_text(answer) for answer in ours], (), self._threads)
            slow = speed_objection(found) is not None
            record = record.looked(lived(ours, found), self._clock(), slow=slow)
        record.save(self._store.trial_record)
        trial = record.trial
        mean = trial.total / trial.answers if trial.answers else 0.0
        return record, f"{trial.answers} answers, acceptance {mean:+.3f}"

    def _end(self, pointer: Pointer, record: TrialRecord, outcome: Outcome, text: str) -> Step:
        number = record.release
        if outcome is Outcome.COMMIT:
            self._messenger.say(number, Fate.COMMITTED, record.pairs)
            self._store.write(pointer.commit())
            return Step(State.COMMITTED, number, f"release {number} is kept: {text}")
        if outcome is Outcome.REVERT:
            self._messenger.say(number, Fate.REVERTED, record.pairs)
            self._store.write(pointer.revert())
            return Step(State.REVERTED, number, f"release {number} is taken back: {text}", True)
        more = bool(self._recent.after(record.seen, 1))
        return Step(State.ON_TRIAL, number, f"release {number} is on trial: {text}", more)

    def _withdrawn(self, record: TrialRecord) -> bool:
        """Or followed by a newer one. Raises NetworkError, PeerError."""
        line = Catalogue(self._channel, self._store.metadata, self._root).line(self._line)
        return line is None or record.release not in (line.next, line.stable)


def _text(answer: RecentAnswer) -> Text:
    return Text(answer.prompt, answer.tokens, answer.sampling)


def _numbers(version_: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version_.split(".") if part.isdecimal())
