"""Who takes part in a forward: rows, prompts, fairness, and whether judging pays."""

from dataclasses import replace
from itertools import accumulate

import pytest

from outrider_cloud.verifier import VerifierSettings
from outrider_protos.words import Commit, Open, Propose
from tests.simulators.rim import Rim, ScriptedDevice
from tests.simulators.target import SMALL

WIDE = replace(SMALL, pages=4000, context_tokens=2000, end_ids=frozenset())
TERMS = Open(session=bytes(16), keep=0, length=0, digest=b"", max_length=1500, run_ahead=4096)
EAGER = replace(TERMS, patience_ms=0.0)


def join(rim: Rim, stream: int, terms: Open, log: list[int]) -> list[int]:
    """A session on a stream of its own; gives the text the target will write."""
    rim.join(stream, terms, log)
    return [*log, *rim.target.alone(log, max_length=terms.max_length).tokens]


def rows(rim: Rim, forward: int = -1) -> dict[int, tuple[int, int]]:
    """Per session of a forward: log tokens and nodes fed."""
    return {w.session: (len(w.prefix), len(w.nodes)) for w in rim.target.batches[forward]}


def test_a_prompt_is_fed_in_chunks_of_the_budget_and_judged_with_the_last() -> None:
    rim = Rim(WIDE, VerifierSettings(forward_tokens=16))
    join(rim, 1, TERMS, [1] * 37)
    assert rim.run() == 3
    fed = [(work.past, len(work.prefix), work.judge) for (work,) in rim.target.batches]
    assert fed == [(0, 16, False), (16, 16, False), (32, 5, True)]
    assert len(rim.take(1)) == 1


def test_those_who_decode_come_first_and_prompts_fill_what_is_left() -> None:
    rim = Rim(WIDE, VerifierSettings(forward_tokens=16))
    for stream in (1, 2, 3):
        join(rim, stream, EAGER, [stream])
    rim.turn()
    join(rim, 4, EAGER, [1] * 40)
    rim.turn()
    assert rows(rim) == {1: (1, 0), 2: (1, 0), 3: (1, 0), 4: (13, 0)}


def test_nodes_leave_a_share_of_the_rows_to_waiting_prompts() -> None:
    rim = Rim(WIDE, VerifierSettings(forward_tokens=16))
    text = join(rim, 1, TERMS, [1, 2])
    rim.run()
    join(rim, 2, TERMS, [5] * 40)
    rim.hear(1, Propose(1, 3, 1, tuple(text[3:40])))
    rim.turn()
    assert rows(rim) == {1: (1, 11), 2: (4, 0)}


def test_no_forward_exceeds_its_rows_nor_a_session_its_nodes() -> None:
    rim = Rim(WIDE, VerifierSettings(forward_tokens=20, judge_nodes=6))
    texts = {stream: join(rim, stream, TERMS, [stream]) for stream in (1, 2, 3, 4, 5)}
    rim.run()
    for stream, text in texts.items():
        rim.hear(stream, Propose(1, 2, 1, tuple(text[2:22])))
    rim.run()
    for forward in range(len(rim.target.batches)):
        fed = rows(rim, forward)
        assert sum(map(sum, fed.values())) <= 20
        assert all(nodes <= 6 for _, nodes in fed.values())
    assert all(length(rim, stream) >= 22 for stream in texts)


def test_the_least_recently_served_go_first_when_not_all_fit() -> None:
    rim = Rim(WIDE, VerifierSettings(forward_tokens=4))
    for stream in range(1, 11):
        join(rim, stream, EAGER, [stream % 12])
    for _ in range(40):
        rim.turn()
    lengths = [sum(isinstance(w, Commit) for w in rim.take(stream)) for stream in range(1, 11)]
    assert max(lengths) - min(lengths) <= 1
    assert min(lengths) >= 14


def test_a_prompt_is_not_starved_by_those_who_decode() -> None:
    rim = Rim(WIDE, VerifierSettings(forward_tokens=8))
    for stream in range(1, 11):
        join(rim, stream, EAGER, [stream % 12])
    for _ in range(5):
        rim.turn()
    join(rim, 11, EAGER, [3] * 20)
    for _ in range(12):
        rim.turn()
    assert rim.take(11)


def pipelined(slope: float, right: float, rounds: int, *, patience_ms: float | None = 0.0) -> Rim:
    """A device that always has four nodes on the table, each right with the given share.

    A forward takes 10 ms and the share `slope` of that for every row.
    """
    rim = Rim(WIDE, row_s=0.010 * slope)
    text = join(rim, 1, replace(EAGER, patience_ms=patience_ms), [1, 2, 3])
    rim.turn()
    debt = 0.0
    for epoch in range(1, rounds + 1):
        at = length(rim)
        nodes = []
        for token in text[at : at + 4]:
            debt += 1 - right
            miss = debt >= 1
            debt -= miss
            nodes.append((token + miss) % WIDE.vocab_size)
        rim.hear(1, Propose(epoch, at, 1, tuple(nodes)))
        rim.turn()
    return rim


def length(rim: Rim, stream: int = 1) -> int:
    """Of the log, as the device was told."""
    return [word.length for word in rim.unread[stream] if isinstance(word, Commit)][-1]


def speed(rim: Rim) -> float:
    """Tokens per second since the start."""
    return rim.verifier.counters.committed / (rim.now_s - 100.0)


@pytest.mark.parametrize("slope", [0.01, 0.05, 0.2, 0.5])
def test_a_useless_draft_costs_next_to_nothing(slope: float) -> None:
    alone = Rim(WIDE, row_s=0.010 * slope)
    join(alone, 1, EAGER, [1, 2, 3])
    for _ in range(301):
        alone.turn()
    assert speed(pipelined(slope, 0.0, 300)) >= 0.97 * speed(alone)


def test_what_a_draft_is_worth_is_known_to_the_owners_next_session() -> None:
    rim = pipelined(0.5, 0.0, 100)
    judged = []
    for stream, owner in ((2, "anna"), (3, "bert")):
        before = rim.verifier.counters.judged_nodes
        rim.connect(stream, owner)
        rim.begin(stream, replace(EAGER, session=bytes([stream] * 16)), [1, 2, 3])
        text = rim.target.alone([1, 2, 3], max_length=40).tokens
        wrong = [(token + 1) % WIDE.vocab_size for token in text[:4]]
        rim.hear(stream, Propose(1, 3, 1, tuple(wrong)))
        rim.turn()
        judged.append(rim.verifier.counters.judged_nodes - before)
        rim.verifier.disconnect(stream, rim.now_s)
    assert judged[0] == 0 < judged[1]


def test_a_good_draft_is_judged_while_that_is_cheap() -> None:
    rim = pipelined(0.02, 0.9, 100)
    assert rim.verifier.counters.committed > 3.2 * rim.verifier.counters.passes


def test_a_good_draft_is_not_judged_where_every_row_costs_a_forward() -> None:
    rim = pipelined(5.0, 0.6, 200)
    counters = rim.verifier.counters
    assert counters.judged_nodes < 0.3 * counters.passes


def test_with_infinite_patience_everything_is_judged() -> None:
    rim = pipelined(5.0, 0.3, 50, patience_ms=None)
    assert rim.verifier.counters.judged_nodes == 200


def test_a_draft_that_becomes_useful_is_noticed_without_judging_it() -> None:
    rim = pipelined(0.2, 0.0, 100)
    before = rim.verifier.counters
    text = [1, 2, 3, *rim.target.alone([1, 2, 3], max_length=1500).tokens]
    for epoch in range(101, 161):
        at = length(rim)
        rim.hear(1, Propose(epoch, at, 1, tuple(text[at : at + 4])))
        rim.turn()
    gained = rim.verifier.counters.committed - before.committed
    assert gained > 150


@pytest.mark.parametrize("slope", [0.02, 0.1, 0.3, 1.0])
@pytest.mark.parametrize("right", [0.5, 0.75, 0.9])
def test_as_many_nodes_are_judged_as_give_the_most_tokens_per_second(
    slope: float, right: float
) -> None:
    rim = pipelined(slope, right, 250)
    session_rows = [rows(rim, forward)[1] for forward in range(-60, 0)]
    judged = sum(nodes for _, nodes in session_rows) / len(session_rows)
    rates = [
        (1 + sum(accumulate([right] * k, lambda a, b: a * b))) / (1 + slope * (1 + k))
        for k in range(5)
    ]
    assert rates[min(4, max(0, round(judged)))] >= 0.93 * max(rates)


def test_likelier_nodes_of_one_session_go_before_unlikely_ones_of_another() -> None:
    rim = Rim(WIDE, VerifierSettings(forward_tokens=12))
    good, poor = join(rim, 1, TERMS, [1]), join(rim, 2, TERMS, [2])
    rim.run()
    for epoch in range(1, 30):
        rim.take(1)
        at = 2 + 3 * (epoch - 1)
        rim.hear(1, Propose(epoch, at, 1, tuple(good[at : at + 2])))
        rim.run()
        at = 1 + epoch
        rim.hear(2, Propose(epoch, at, 1, ((poor[at] + 1) % 12,)))
        rim.run()
    rim.hear(1, Propose(99, 89, 1, tuple(good[89:99])))
    rim.hear(2, Propose(99, 31, 1, tuple(poor[31:41])))
    rim.turn()
    assert rows(rim) == {1: (1, 10), 2: (1, 0)}


def test_nodes_of_a_tree_are_judged_by_the_chance_of_their_whole_path() -> None:
    rim = Rim(WIDE, VerifierSettings(judge_nodes=3))
    join(rim, 1, TERMS, [1])
    rim.run()
    # Two chains: with the prior, first children of the first chain are the likeliest.
    rim.hear(1, Propose(1, 2, 1, (1, 2, 3, 4, 5, 6), (0, 0, 1, 2, 3, 4)))
    rim.turn()
    (work,) = rim.target.batches[-1]
    assert work.nodes == (1, 3, 5)
    assert work.parents == (0, 1, 2)


def test_sessions_that_decode_together_write_what_each_writes_alone() -> None:
    rim = Rim(WIDE, VerifierSettings(forward_tokens=24, judge_nodes=5), row_s=0.002)
    devices = []
    for stream in range(1, 9):
        terms = replace(EAGER, session=bytes([stream] * 16), max_length=60)
        devices.append(ScriptedDevice(rim, stream, terms, [stream] * stream))
    texts = {d.stream: [*d.log, *rim.target.alone(d.log, max_length=60).tokens] for d in devices}
    for device in devices:
        device.open(keep=0)
        device.listen()
        device.begin_epoch()
        device.propose(texts[device.stream][device.stream : device.stream + 9])
    rim.run()
    for device in devices:
        device.listen()
        assert device.log == texts[device.stream]
    assert max(len(batch) for batch in rim.target.batches) == 8


def test_a_device_that_never_listens_still_gets_its_text() -> None:
    rim = Rim(WIDE)
    device = ScriptedDevice(rim, 1, replace(EAGER, max_length=50), [1, 2])
    device.open(keep=0)
    device.listen()
    rim.run()
    device.listen()
    assert device.log == [1, 2, *rim.target.alone([1, 2], max_length=50).tokens]
