"""The draft's thread outlives whatever a generation does to it."""

import threading
from collections.abc import Sequence

from outrider_edge.draft import Candidate, Detail, Expansion, Leaf
from outrider_edge.errors import Crashed
from outrider_edge.generation import Generation
from outrider_edge.request import Request
from outrider_edge.solo import Solo
from outrider_edge.worker import Worker
from outrider_protos.words import FinishReason, Sampling

WAIT_S = 20.0


class Counting:
    """A draft that writes 1, 2, 3, ...; `broken` makes it fail as only a bug can."""

    def __init__(self, *, broken: bool) -> None:
        self._broken = broken

    def begin(self, log: Sequence[int], sampling: Sampling) -> None:
        """Nothing to remember."""

    def expand(self, leaves: Sequence[Leaf], detail: Detail) -> list[Expansion]:
        if self._broken:
            raise ZeroDivisionError
        return [Expansion(candidates=(Candidate(leaves[0].token + 1, 1.0),), max_probability=1.0)]

    def prune(self, node: int) -> None:
        """One branch only."""


def generation(*, broken: bool) -> Generation:
    request = Request(session=b"s" * 16, log=(1,), max_length=5, end_ids=frozenset({0}))
    loop = Solo(request)
    draft = Counting(broken=broken)
    return Generation(loop, draft=draft, dialer=None, sink=lambda events: None)


def driven(worker: Worker, one: Generation) -> Generation:
    done = threading.Event()
    worker.submit(one, done.set)
    assert done.wait(WAIT_S), "the generation never ended"
    return one


def test_a_fault_ends_one_generation_and_no_other() -> None:
    worker = Worker()
    try:
        failed = driven(worker, generation(broken=True)).outcome
        assert failed is not None
        assert isinstance(failed.error, Crashed)
        fine = driven(worker, generation(broken=False)).outcome
        assert fine is not None
        assert (fine.log, fine.reason) == ((1, 2, 3, 4, 5), FinishReason.LENGTH)
    finally:
        worker.close()
