"""One device on its way from one draft to the next: look, fetch, test, try, and keep or take back.

`step` does what can be done now and returns; where the device dies, the next `step` goes on. At no
moment is there less than one draft known to be good, and no draft that failed is tried again. It
knows neither connections nor how often to step.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version

from packaging.version import Version

from outrider_edge.errors import (
    BadRelease,
    ClockWrong,
    CloudRefused,
    NetworkError,
    NotOffered,
    PeerError,
    ProbeInterrupted,
)
from outrider_edge.llama.gguf_header import read_header
from outrider_edge.releases.catalogue import Catalogue, Offer
from outrider_edge.releases.entry import Entry
from outrider_edge.releases.installer import Installer, Told, files_of_offers, names_of
from outrider_edge.releases.judge import Judge
from outrider_edge.releases.messenger import Listener, Messenger
from outrider_edge.releases.pointer import Pointer
from outrider_edge.releases.recent import RecentAnswers
from outrider_edge.releases.rehearsal import Rehearsal
from outrider_edge.releases.report import Fate
from outrider_edge.releases.step import Phase, State, Step
from outrider_edge.releases.store import DraftStore
from outrider_edge.releases.trial_record import TrialRecord
from outrider_protos.fingerprint import fingerprint
from outrider_protos.release import Line


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
        self._line, self._root, self._clock = line, root, clock
        self._rehearsal = Rehearsal(store, threads)
        self._messenger = Messenger(store, channel, line)
        self._entry = Entry(store, recent, self._rehearsal)
        self._judge = Judge(store, recent, self._messenger, self._rehearsal, clock=clock)

    def step(self, told: Callable[[Phase], None], progress: Told, held: str | None = None) -> Step:
        """Do what there is to do. Raises Busy while another process does.

        `held`: why the channel should be left alone for now; a trial is judged all the same, by
        answers alone.
        """
        with self._store.changing():
            if held is not None:
                return self._judged(told, held) or Step(
                    State.UP_TO_DATE, None, f"updates wait: {held}"
                )
            self._messenger.deliver()
            step = self._judged(told, None) or self._look(told, progress)
            self._messenger.deliver()
            return step

    def _judged(self, told: Callable[[Phase], None], held: str | None) -> Step | None:
        """None where there is no trial."""
        self._store.heal()
        pointer = self._store.pointer()
        if pointer.trial is None:
            return None
        told(Phase.JUDGING)
        return self._judge.go_on(pointer, pointer.trial, held or self._heard(), told)

    def _heard(self) -> Line | str:
        """What the line says, or why it is not asked: a trial then goes on without."""
        try:
            return self._catalogue().line(self._line) or Line()
        except (NetworkError, PeerError, ClockWrong) as error:
            return str(error)

    def _catalogue(self) -> Catalogue:
        return Catalogue(self._channel, self._store.metadata, self._root)

    # ---- something new

    def _look(self, told: Callable[[Phase], None], progress: Told) -> Step:
        pointer = self._store.pointer()
        if pointer.pinned:
            return Step(State.PINNED, None, "pinned: nothing new is looked for")
        told(Phase.LOOKING)
        catalogue = self._catalogue()
        line = catalogue.line(self._line)
        if line is None:
            return Step(State.UP_TO_DATE, None, f"nothing was released on line {self._line} yet")
        offers, step = self._offers(catalogue, line)
        self._store.expect(files_of_offers(offer for offer, _ in offers))
        self._store.untried.expect({offer.full.sha256 for offer, _ in offers})
        pointer = self._renumbered(pointer, [offer for offer, open_ in offers if open_])
        if pointer.leaves(line.withdrawn):
            return self._leave(pointer, line)
        number = pointer.number(pointer.active)
        for offer, open_ in offers:
            same = offer.release.number == number
            if pointer.active in names_of(offer) and (open_ or same):
                return step
            older = number is not None and offer.release.number < number
            stays = older and number not in line.withdrawn
            if open_ and not stays and not names_of(offer) & set(pointer.refused):
                step = self._take(offer, pointer, told, progress)
                if step.state not in (State.UNFIT, State.UNAVAILABLE):
                    return step
        return step  # what was followed by others that are not for this device may be kept

    def _offers(self, catalogue: Catalogue, line: Line) -> tuple[list[tuple[Offer, bool]], Step]:
        """In the order of preference, and whether this device may have them; what there is to say
        where none is taken. One that cannot be read stands in nobody's way.
        """
        staged, offers = line.staged(self._line, self._store.device()), []
        step = Step(State.UP_TO_DATE, None, "up to date")
        for number, open_ in ((line.next, staged), (line.stable, True)):
            if number is None:
                continue
            try:
                offers.append((catalogue.offer(self._line, number), open_))
            except (BadRelease, NotOffered) as error:
                text = f"release {number} cannot be read: {error}"
                step = Step(State.UNAVAILABLE, number, text)
        return offers, step

    def _take(
        self, offer: Offer, pointer: Pointer, told: Callable[[Phase], None], progress: Told
    ) -> Step:
        number = offer.release.number
        if (problem := self._unfit(offer, pointer)) is not None:
            return Step(State.UNFIT, number, f"release {number} does not fit: {problem}")
        told(Phase.FETCHING)
        installer = Installer(self._channel, self._store, progress)
        try:
            name = installer.install(offer, pointer)
        except (BadRelease, CloudRefused, NotOffered) as error:  # the other one may still be had
            return Step(State.UNAVAILABLE, number, f"release {number} is not to be had: {error}")
        try:
            objection = self._entry.objection(offer.release.golden, name, pointer, told)
        except ProbeInterrupted:
            self._store.untried.add(offer.full.sha256)
            raise
        if objection is not None:
            return self._refuse(offer, pointer, objection)
        told(Phase.BEGINNING)
        step = self._begin(offer, name, pointer)
        return replace(step, text="; ".join((step.text, *installer.unused)))

    def _renumbered(self, pointer: Pointer, offers: list[Offer]) -> Pointer:
        """What is in use may have been released again: it is known by the number on offer."""
        for offer in offers:
            if pointer.active in names_of(offer):
                known = pointer.numbered(pointer.active, offer.release.number)
                if known.number(known.active) != pointer.number(pointer.active):
                    self._messenger.say_in_use(known, None)
                    self._store.write(known)
                return known
        return pointer

    def _leave(self, pointer: Pointer, line: Line) -> Step:
        """What was withdrawn, for a draft that was in use and needs no trial; before anything else
        is looked at, for it is no measure of others.
        """
        left, back = pointer.number(pointer.active), pointer.go_back(line.withdrawn)
        self._messenger.say_in_use(back, left)
        self._store.write(back)
        text = f"release {left} was withdrawn"
        return Step(State.REVERTED, left, text, again=True)

    def _unfit(self, offer: Offer, pointer: Pointer) -> str | None:
        """What may be otherwise another day: nothing is remembered of it."""
        needs, runtime = offer.release.requirements, version("llama_cpp_python")
        if Version(runtime) < Version(needs.runtime):
            return f"it needs llama-cpp-python {needs.runtime}, this is {runtime}"
        file = self._store.path(pointer.factory)
        if fingerprint(read_header(file).tokenizer()).hex() != needs.tokenizer:
            return "it has another vocabulary than the draft of this device"
        if self._store.untried.waits(offer.full.sha256, self._clock()):
            return "this machine could not try it, again and again: now it does once a day"
        return None

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
        record = TrialRecord(name=name, release=number, seen=seen, looked_s=now_s)
        record.save(self._store.trial_record)
        self._messenger.say(number, Fate.ON_TRIAL, record.pairs)
        self._store.forget_beginnings()
        self._store.write(pointer.begin_trial(name, number))
        return Step(State.ON_TRIAL, number, f"release {number} is on trial from the next answer on")
