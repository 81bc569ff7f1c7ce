"""Whatever is proposed, kept, cut and fed again, in whatever company, KV is that of the log."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outrider_cloud.engine import Work
from outrider_cloud.errors import EngineError
from outrider_cloud.reference import Reference
from outrider_cloud.transformers_engine.engine import TransformersEngine
from tests.cloud.engine.comparison import TOLERANCE, largest_error, path_to, tokens_to
from tests.cloud.engine.tiny import VOCAB_SIZE, tiny_target

TARGET = tiny_target("mistral")  # with a window, so that positions count as well as masks
REFERENCE = Reference(TARGET)
MOST = 110  # tokens of one session: below the context
tokens = st.integers(0, VOCAB_SIZE - 1)


@dataclass
class Story:
    """What one session should hold."""

    handle: int
    log: list[int] = field(default_factory=list)  # all of it has KV

    def next_work(self, data: st.DataObject) -> Work:
        past = data.draw(st.integers(max(0, len(self.log) - 20), len(self.log)), label="past")
        prefix = data.draw(st.lists(tokens, min_size=1, max_size=24), label="prefix")
        if past + len(prefix) > MOST - 10:
            past = 3
        nodes = data.draw(st.lists(tokens, max_size=7), label="nodes")
        chain = data.draw(st.booleans(), label="chain")
        parents = [
            node if chain else data.draw(st.integers(0, node), label="parent")
            for node in range(len(nodes))
        ]
        return Work(
            session=self.handle,
            past=past,
            prefix=tuple(prefix),
            nodes=tuple(nodes),
            parents=tuple(parents),
            logprobs=True,
        )


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_sequence_of_forwards_gives_recomputed_rows(data: st.DataObject) -> None:
    engine = TransformersEngine(TARGET, pages=26)  # little enough for leases to move and scatter
    stories = [Story(handle) for handle in range(3)]
    for _ in range(data.draw(st.integers(1, 6), label="forwards")):
        chosen = data.draw(st.sets(st.sampled_from(range(3)), min_size=1), label="sessions")
        works = [stories[each].next_work(data) for each in sorted(chosen)]
        for work, verdict in zip(works, engine.forward(works), strict=True):
            story = stories[work.session]
            story.log = [*story.log[: work.past], *work.prefix]
            assert largest_error(REFERENCE, story.log, work, verdict) < TOLERANCE
            last = data.draw(st.integers(0, len(work.nodes)), label="kept")
            if last or data.draw(st.booleans(), label="keep nothing, and say so"):
                engine.keep(work.session, path_to(work.parents, last))
                story.log += tokens_to(work, last)
        if data.draw(st.integers(0, 9), label="release") == 0:
            engine.release(1)
            stories[1].log = []


def test_kv_that_was_never_there_is_refused() -> None:
    engine = TransformersEngine(TARGET, pages=4)
    with pytest.raises(EngineError):
        engine.forward([Work(session=1, past=1, prefix=(5,))])
    engine.forward([Work(session=1, past=0, prefix=(5, 6), nodes=(7, 8), parents=(0, 0))])
    with pytest.raises(EngineError):
        engine.keep(1, (1, 2))  # siblings are no path
    with pytest.raises(EngineError):
        engine.keep(1, (3,))
    engine.keep(1, (2,))
    with pytest.raises(EngineError):
        engine.keep(1, (2,))  # the nodes of a forward are settled once
    with pytest.raises(EngineError):
        engine.forward([Work(session=1, past=4, prefix=(5,))])
    (verdict,) = engine.forward([Work(session=1, past=3, prefix=(9,), logprobs=True)])
    work = Work(session=1, past=3, prefix=(9,), logprobs=True)
    assert largest_error(REFERENCE, [5, 6, 8, 9], work, verdict) < TOLERANCE


def test_kv_follows_a_session_that_moves_and_is_found_where_it_is_scattered() -> None:
    """Of 8 pages sessions 1, 2, 3 get the first, the fifth and the third."""
    engine = TransformersEngine(TARGET, pages=8)
    logs = {handle: [handle + 3 * n for n in range(16)] for handle in (1, 2, 3)}
    for handle, log in logs.items():
        engine.forward([Work(session=handle, past=0, prefix=tuple(log))])
    # 1 moves to the end for want of neighbours; then 2 has none left anywhere.
    for handle, more in ((1, 31), (2, 47)):
        work = Work(
            session=handle,
            past=16,
            prefix=(4,),
            nodes=tuple(range(5, 5 + more)),
            parents=tuple(range(more)),
            logprobs=True,
        )
        (verdict,) = engine.forward([work])
        assert largest_error(REFERENCE, [*logs[handle], 4], work, verdict) < TOLERANCE
    assert engine.free_pages == 0


def test_a_released_session_starts_anew() -> None:
    engine = TransformersEngine(TARGET, pages=4)
    engine.forward([Work(session=1, past=0, prefix=(5, 6))])
    engine.release(1)
    engine.release(1)
    with pytest.raises(EngineError):
        engine.forward([Work(session=1, past=2, prefix=(7,))])
    with pytest.raises(EngineError):
        engine.keep(2, ())
