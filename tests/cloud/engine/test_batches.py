"""Many sessions in one forward: each gets what it gets alone."""

from outrider_cloud.engine import Verdict, Work
from outrider_cloud.transformers_engine.engine import TransformersEngine
from outrider_protos.words import Distance, Rollback, Sampling, TopRow
from tests.cloud.engine.comparison import TOLERANCE
from tests.cloud.engine.tiny import VOCAB_SIZE, tiny_target

TARGET = tiny_target("qwen3")
TOP = tuple(TopRow((token, token + 1), (0.5, 0.25)) for token in (3, 4, 5))


def prompt(session: int) -> tuple[int, ...]:
    return tuple((5 * n + session) % VOCAB_SIZE for n in range(4 + 7 * session))


def works() -> list[Work]:
    """Chains, a tree, a prompt, one bare step; greedy, sampled, with and without extras."""
    return [
        Work(session=0, past=4, prefix=(9,), nodes=(3, 4, 5), parents=(0, 1, 2), logprobs=True),
        Work(
            session=1,
            past=11,
            prefix=(8, 2),
            nodes=(3, 4, 5),
            parents=(0, 0, 2),
            sampling=Sampling(temperature=0.9, top_p=0.8, seed=77),
            rollback=Rollback(threshold=1.0, distance=Distance.KULLBACK_LEIBLER),
            top=TOP,
        ),
        Work(session=2, past=18, prefix=tuple(range(2, 30)), judge=False),
        Work(session=3, past=25, prefix=(6,), sampling=Sampling(temperature=1.5, seed=3)),
        Work(
            session=4,
            past=32,
            prefix=(6,),
            nodes=(1,),
            parents=(0,),
            rollback=Rollback(threshold=2.0),
            logprobs=True,
        ),
    ]


def fed_engine() -> TransformersEngine:
    engine = TransformersEngine(TARGET, pages=64)
    for session in range(5):
        engine.forward([Work(session=session, past=0, prefix=prompt(session), judge=False)])
    return engine


def numbers(verdict: Verdict) -> list[float]:
    parts = (verdict.distances, verdict.choice_logprobs, verdict.node_logprobs)
    return [number for part in parts for number in part or ()]


def test_each_gets_what_it_gets_alone() -> None:
    together = fed_engine().forward(works())
    alone = fed_engine()
    for work, verdict in zip(works(), together, strict=True):
        (expected,) = alone.forward([work])
        if verdict is None or expected is None:
            assert verdict is expected
            assert not work.judge
            continue
        assert verdict.choices == expected.choices
        worst = max(
            (abs(a - b) for a, b in zip(numbers(verdict), numbers(expected), strict=True)),
            default=0.0,
        )
        assert worst < TOLERANCE


def test_only_what_was_asked_for_comes_back() -> None:
    chain, tree, _, step, both = fed_engine().forward(works())
    assert chain is not None and tree is not None and step is not None and both is not None
    assert (chain.distances, len(chain.choice_logprobs or ())) == (None, 4)
    assert (len(tree.distances or ()), tree.choice_logprobs, tree.node_logprobs) == (3, None, None)
    assert step == Verdict(choices=step.choices)
    assert len(both.distances or ()) == len(both.node_logprobs or ()) == 1


def test_the_order_of_the_batch_does_not_matter() -> None:
    forward = fed_engine().forward(works())
    backward = fed_engine().forward(works()[::-1])[::-1]
    for one, other in zip(forward, backward, strict=True):
        assert (one and one.choices) == (other and other.choices)
