"""A draft on trial, and what becomes of it: it goes on, is kept, taken back, or called off.

Its live answers are replayed by both drafts. It knows what a line says, not where that came from,
and one step at a time.
"""

from collections.abc import Callable
from typing import Final

from outrider_edge.errors import DraftError, ProbeInterrupted
from outrider_edge.releases.examination import is_slow, lived, text_of
from outrider_edge.releases.messenger import Messenger
from outrider_edge.releases.pointer import Pointer
from outrider_edge.releases.recent import RecentAnswers
from outrider_edge.releases.rehearsal import Rehearsal
from outrider_edge.releases.report import Fate
from outrider_edge.releases.step import Phase, State, Step
from outrider_edge.releases.store import DraftStore
from outrider_edge.releases.trial import Outcome
from outrider_edge.releases.trial_record import MOST_INTERRUPTIONS, TrialRecord
from outrider_protos.release import Line

_LOOKED_AT: Final = 16  # answers, in one step


class Judge:
    """Raises StoreFailed; the trial then goes on with the next step."""

    def __init__(
        self,
        store: DraftStore,
        recent: RecentAnswers,
        messenger: Messenger,
        rehearsal: Rehearsal,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._store, self._recent, self._messenger = store, recent, messenger
        self._rehearsal, self._clock = rehearsal, clock

    def go_on(
        self, pointer: Pointer, name: str, line: Line | str, told: Callable[[Phase], None]
    ) -> Step:
        """One step of the trial of that draft; no line, but why not: it is not asked."""
        record = TrialRecord.load(self._store.trial_record, name)
        if record is None:
            self._store.write(pointer.call_off())
            return Step(State.REVERTED, None, "a trial nobody knows of was called off", again=True)
        known = line if isinstance(line, Line) else Line(stable=record.release)
        if (text := _pointless(pointer, record, known)) is not None:
            return self._call_off(pointer, record, known, text)
        if self._store.starts.too_many:
            text = "it ended this program several times"
            return self._end(pointer, record, Outcome.REVERT, text)
        try:
            record = self._looked(record, pointer)
        except DraftError as error:
            return self._end(pointer, record, Outcome.REVERT, str(error))
        except ProbeInterrupted:
            record.interrupted().save(self._store.trial_record)
            raise
        if record.is_idle:
            text = f"release {record.release} is put back: {record.text}, and no more for a week"
            return self._call_off(pointer, record, known, text)
        if record.outcome is not Outcome.GOES_ON:
            told(Phase.ENDING)
        trouble = f"; the channel is not asked: {line}" if isinstance(line, str) else ""
        return self._end(pointer, record, record.outcome, record.text + trouble)

    def _call_off(self, pointer: Pointer, record: TrialRecord, line: Line, text: str) -> Step:
        back = pointer.call_off()
        if not back.leaves(line.withdrawn):
            self._messenger.say_in_use(back, record.release)
        self._store.write(back)
        return Step(State.REVERTED, record.release, text, again=True)

    def _looked(self, record: TrialRecord, pointer: Pointer) -> TrialRecord:
        anew = self._recent.newest() < record.seen  # the memory of answers was lost
        answers = self._recent.after(0 if anew else record.seen, _LOOKED_AT)
        ours = [answer for answer in answers if answer.draft == record.name]
        if not answers:
            record = record.waited(self._clock())
        else:
            record = record.heard(self._clock(), answers[-1].number, len(answers), len(ours))
        if ours:
            texts = [text_of(answer) for answer in ours]
            found = self._rehearsal.of(record.name, pointer.active, texts)
            record = record.looked(lived(ours, found), slow=is_slow(found))
        record.save(self._store.trial_record)
        return record

    def _end(self, pointer: Pointer, record: TrialRecord, outcome: Outcome, text: str) -> Step:
        number = record.release
        if outcome is Outcome.COMMIT:
            self._messenger.say(number, Fate.COMMITTED, record.pairs)
            self._store.write(pointer.commit())
            return Step(State.COMMITTED, number, f"release {number} is kept: {text}")
        if outcome is Outcome.REVERT:
            self._rehearsal.expect_whole(record.name, pointer.active)
            self._messenger.say(number, Fate.REVERTED, record.pairs)
            self._store.write(pointer.revert())
            return Step(State.REVERTED, number, f"release {number} is taken back: {text}", True)
        more = bool(self._recent.after(record.seen, 1))
        return Step(State.ON_TRIAL, number, f"release {number} is on trial: {text}", more)


def _pointless(pointer: Pointer, record: TrialRecord, line: Line) -> str | None:
    """Why nobody wants to know how the trial ends."""
    if pointer.leaves(line.withdrawn):
        return f"the draft that release {record.release} is compared with was withdrawn"
    if record.release not in (line.next, line.stable):
        return f"release {record.release} was withdrawn or replaced during its trial"
    if record.interruptions >= MOST_INTERRUPTIONS:
        return f"release {record.release} cannot be judged on this machine"
    return None
