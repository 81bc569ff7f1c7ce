"""The draft on the real llama.cpp: whatever was decoded before, it says what a fresh one says."""

import math
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from outrider_edge.draft import Detail, Expansion, Leaf
from outrider_edge.errors import BadInput, BadSettings, ContextFull, DraftError
from outrider_edge.llama.context import CacheType, Context, ContextSettings
from outrider_edge.llama.draft import LlamaDraft
from outrider_edge.llama.model import Model
from outrider_protos import choice
from outrider_protos.words import Sampling
from tests.simulators.gguf_files import TinyModel, write_gguf

GREEDY = Sampling()
WARM = Sampling(temperature=0.9, seed=7)
EXACT = ContextSettings(cache=CacheType.F32)
PROMPT = [0, 40, 51, 62, 73, 84]
ALL = Detail(width=3, entropy=True, top_tokens=4)


def fresh(
    model: Model, text: Sequence[int], sampling: Sampling = GREEDY, detail: Detail = ALL
) -> Expansion:
    """What a draft says that has never seen anything else."""
    with LlamaDraft(model, EXACT) as draft:
        draft.begin(text, sampling)
        return draft.expand([Leaf(0, 0, text[-1])], detail)[0]


def assert_same(found: Expansion, expected: Expansion) -> None:
    """Equal up to rounding: tokens may change places only where their logits tie."""
    near = pytest.approx
    assert found.max_probability == near(expected.max_probability, rel=1e-3)
    assert found.entropy == near(expected.entropy, rel=1e-3)
    for mine, theirs in zip(found.candidates, expected.candidates, strict=True):
        assert mine.probability == near(theirs.probability, rel=1e-3)
        assert mine.token == theirs.token
    if expected.top is not None:
        assert found.top is not None
        assert found.top.probabilities == near(expected.top.probabilities, rel=1e-3)


@pytest.fixture
def draft(tiny: Model) -> Iterator[LlamaDraft]:
    with LlamaDraft(tiny, ContextSettings(cache=CacheType.F32, branches=4)) as draft:
        yield draft


def chain(draft: LlamaDraft, log: Sequence[int], length: int) -> list[int]:
    """Greedy tokens, one node below the other; `begin` was called with the log."""
    tokens = [log[-1]]
    for node in range(length):
        found = draft.expand([Leaf(node, max(node - 1, 0), tokens[-1])], Detail())[0]
        tokens.append(found.candidates[0].token)
    return tokens[1:]


# ---- what it says


def test_a_chain_says_what_fresh_drafts_say(tiny: Model, draft: LlamaDraft) -> None:
    draft.begin(PROMPT, GREEDY)
    text = PROMPT + chain(draft, PROMPT, 12)
    for end in range(len(PROMPT), len(text)):
        assert fresh(tiny, text[:end]).candidates[0].token == text[end]


def test_branches_of_a_tree_say_what_their_paths_say_alone(tiny: Model, draft: LlamaDraft) -> None:
    draft.begin(PROMPT, GREEDY)
    draft.expand([Leaf(0, 0, PROMPT[-1])], ALL)
    level = [Leaf(1, 0, 11), Leaf(2, 0, 22)]
    found = draft.expand(level, ALL)
    deeper = [Leaf(3, 1, 33), Leaf(4, 1, 44), Leaf(5, 2, 55), Leaf(6, 2, 66)]
    found += draft.expand(deeper, ALL)
    paths = [[11], [22], [11, 33], [11, 44], [22, 55], [22, 66]]
    for expansion, path in zip(found, paths, strict=True):
        assert_same(expansion, fresh(tiny, PROMPT + path))


def row_after(model: Model, text: Sequence[int]) -> NDArray[np.float32]:
    """The logits themselves, without the draft."""
    context = Context(model, EXACT)
    context.fill(text[:-1], 0, 0)
    slot = context.put(text[-1], len(text) - 1, 0)
    context.decode()
    row = context.row(slot).copy()
    context.close()
    return row


def test_candidates_are_chosen_with_the_noise_of_their_own_log_index(
    tiny: Model, draft: LlamaDraft
) -> None:
    draft.begin(PROMPT, WARM)
    root = draft.expand([Leaf(0, 0, PROMPT[-1])], Detail(width=3))[0]
    child = draft.expand([Leaf(1, 0, 9)], Detail(width=3))[0]
    row, next_row = row_after(tiny, PROMPT), row_after(tiny, [*PROMPT, 9])
    assert [c.token for c in root.candidates] == choice.ranked(row, WARM, 6, 3)
    assert [c.token for c in child.candidates] == choice.ranked(next_row, WARM, 7, 3)


def test_confidence_entropy_and_top_row_are_those_of_the_untempered_softmax(
    tiny: Model, draft: LlamaDraft
) -> None:
    row = row_after(tiny, PROMPT)
    draft.begin(PROMPT, WARM)
    found = draft.expand([Leaf(0, 0, PROMPT[-1])], Detail(width=3, entropy=True, top_tokens=5))[0]
    best = found.candidates[0]
    assert best.probability == pytest.approx(math.exp(choice.log_probability(row, best.token)))
    assert found.max_probability == pytest.approx(choice.confidence(row))
    assert found.entropy == pytest.approx(choice.entropy(row))
    assert found.top == choice.top_row(row, 5)


def test_entropy_and_top_row_are_left_out_unless_asked_for(draft: LlamaDraft) -> None:
    draft.begin(PROMPT, GREEDY)
    found = draft.expand([Leaf(0, 0, PROMPT[-1])], Detail())[0]
    assert (found.entropy, found.top, len(found.candidates)) == (None, None, 1)


# ---- any history


class History:
    """A draft with a past, and the text of every node it may be asked about."""

    def __init__(self, draft: LlamaDraft) -> None:
        self.draft = draft
        self.log: list[int] = []
        self.sampling = GREEDY
        self.texts: dict[int, list[int]] = {}
        self.parents: dict[int, int] = {}

    def begin(self, log: list[int], sampling: Sampling) -> None:
        self.draft.begin(log, sampling)
        self.log, self.sampling = log, sampling
        self.texts, self.parents = {0: log}, {0: 0}

    def expand(self, leaves: list[Leaf]) -> list[Expansion]:
        for leaf in leaves:
            if leaf.node not in self.texts:
                self.texts[leaf.node] = [*self.texts[leaf.parent], leaf.token]
                self.parents[leaf.node] = leaf.parent
        return self.draft.expand(leaves, ALL)


TOKENS = st.integers(3, 270)


def any_begin(data: st.DataObject, history: History) -> None:
    """A new log: along a drafted path, or elsewhere, or a shorter one."""
    kept = data.draw(st.sampled_from(sorted(history.texts.values())))
    kept = kept[: data.draw(st.integers(1, len(kept)))]
    more = data.draw(st.lists(TOKENS, max_size=3))
    history.begin([*kept, *more], data.draw(st.sampled_from([GREEDY, WARM])))
    history.expand([Leaf(0, 0, history.log[-1])])


def any_leaves(data: st.DataObject, history: History, most: int) -> list[Leaf]:
    """New leaves below any nodes, or nodes that were expanded before."""
    leaves: dict[int, Leaf] = {}
    for _ in range(data.draw(st.integers(1, most))):
        again = data.draw(st.booleans()) and data.draw(st.booleans())
        node = data.draw(st.sampled_from(sorted(history.texts)))
        if again:
            leaf = Leaf(node, history.parents[node], history.texts[node][-1])
        else:
            new = max([*history.texts, *leaves]) + data.draw(st.integers(1, 3))
            leaf = Leaf(new, node, data.draw(TOKENS))
        leaves[leaf.node] = leaf
    return list(leaves.values())


@settings(max_examples=60, deadline=None)
@given(data=st.data(), branches=st.integers(1, 4))
def test_any_history_leaves_the_draft_saying_what_a_fresh_one_says(
    tiny: Model, data: st.DataObject, branches: int
) -> None:
    with LlamaDraft(tiny, ContextSettings(cache=CacheType.F32, branches=branches)) as draft:
        history = History(draft)
        history.begin(PROMPT, GREEDY)
        history.expand([Leaf(0, 0, PROMPT[-1])])
        for _ in range(data.draw(st.integers(1, 12))):
            match data.draw(st.sampled_from(["expand", "expand", "expand", "begin", "prune"])):
                case "begin":
                    any_begin(data, history)
                case "prune":
                    draft.prune(data.draw(st.sampled_from(sorted(history.texts))))
                case _:
                    leaves = any_leaves(data, history, branches)
                    found = history.expand(leaves)
                    at = data.draw(st.integers(0, len(leaves) - 1))
                    text = history.texts[leaves[at].node]
                    assert_same(found[at], fresh(tiny, text, history.sampling))


# ---- what it costs


def test_begin_decodes_nothing_and_the_first_expansion_only_what_is_new(draft: LlamaDraft) -> None:
    draft.begin(PROMPT, GREEDY)
    assert draft.decoded_tokens == 0
    drafted = chain(draft, PROMPT, 8)
    before = draft.decoded_tokens
    assert before == len(PROMPT) + 7
    log = [*PROMPT, *drafted[:5], 99]  # the target wrote 99 instead of the sixth
    draft.begin(log, GREEDY)
    draft.expand([Leaf(0, 0, 99)], Detail())
    assert draft.decoded_tokens == before + 1


def test_a_log_that_ran_past_the_drafted_path_keeps_all_of_it(draft: LlamaDraft) -> None:
    draft.begin(PROMPT, GREEDY)
    drafted = chain(draft, PROMPT, 4)  # three of them were decoded
    before = draft.decoded_tokens
    draft.begin([*PROMPT, *drafted, 9, 8], GREEDY)
    draft.expand([Leaf(0, 0, 8)], Detail())
    assert draft.decoded_tokens == before + 3


def test_the_longest_branch_is_kept_of_a_tree(draft: LlamaDraft) -> None:
    draft.begin(PROMPT, GREEDY)
    draft.expand([Leaf(0, 0, PROMPT[-1])], Detail())
    draft.expand([Leaf(1, 0, 11), Leaf(2, 0, 22), Leaf(3, 0, 33)], Detail())
    draft.expand([Leaf(4, 2, 44)], Detail())
    before = draft.decoded_tokens
    draft.begin([*PROMPT, 22, 44, 55], GREEDY)
    draft.expand([Leaf(0, 0, 55)], Detail())
    assert draft.decoded_tokens == before + 1


def test_the_root_is_decoded_again_when_the_log_ends_inside_the_drafted_path(
    tiny: Model, draft: LlamaDraft
) -> None:
    draft.begin(PROMPT, GREEDY)
    drafted = chain(draft, PROMPT, 6)
    before = draft.decoded_tokens
    log = PROMPT + drafted[:3]
    draft.begin(log, GREEDY)
    assert_same(draft.expand([Leaf(0, 0, log[-1])], ALL)[0], fresh(tiny, log))
    assert draft.decoded_tokens == before + 1


def test_a_leaf_costs_one_token_while_sequences_last(draft: LlamaDraft) -> None:
    draft.begin(PROMPT, GREEDY)
    draft.expand([Leaf(0, 0, PROMPT[-1])], Detail())
    draft.expand([Leaf(n, 0, 10 + n) for n in (1, 2, 3, 4)], Detail())
    draft.expand([Leaf(4 + n, n, 20 + n) for n in (1, 2, 3, 4)], Detail())
    assert draft.decoded_tokens == len(PROMPT) + 8


def test_siblings_asked_for_one_by_one_are_all_kept_while_sequences_last(
    draft: LlamaDraft,
) -> None:
    draft.begin(PROMPT, GREEDY)
    draft.expand([Leaf(0, 0, PROMPT[-1])], Detail())
    for leaf in [Leaf(n, 0, 10 + n) for n in (1, 2, 3, 4)]:
        draft.expand([leaf], Detail())
    for leaf in [Leaf(4 + n, n, 20 + n) for n in (1, 2, 3, 4)]:
        draft.expand([leaf], Detail())
    assert draft.decoded_tokens == len(PROMPT) + 8


def test_the_branch_unused_for_longest_gives_way(tiny: Model) -> None:
    with LlamaDraft(tiny, ContextSettings(branches=2)) as draft:
        draft.begin(PROMPT, GREEDY)
        draft.expand([Leaf(0, 0, PROMPT[-1])], Detail())
        draft.expand([Leaf(1, 0, 11), Leaf(2, 0, 12)], Detail())
        draft.expand([Leaf(3, 1, 13)], Detail())
        draft.expand([Leaf(4, 0, 14)], Detail())  # a third branch
        before = draft.decoded_tokens
        draft.expand([Leaf(5, 3, 15)], Detail())
        assert draft.decoded_tokens == before + 1
        draft.expand([Leaf(6, 2, 16)], Detail())  # its parent gave way: decoded once more
        assert draft.decoded_tokens == before + 3


def test_pruning_forgets_the_branches_beside_the_log(draft: LlamaDraft) -> None:
    draft.begin(PROMPT, GREEDY)
    draft.expand([Leaf(0, 0, PROMPT[-1])], Detail())
    draft.expand([Leaf(n, 0, 10 + n) for n in (1, 2, 3)], Detail())
    draft.prune(1)
    before = draft.decoded_tokens
    draft.expand([Leaf(4, 1, 20)], Detail())
    assert draft.decoded_tokens == before + 1
    draft.expand([Leaf(5, 2, 21)], Detail())  # its parent was pruned: decoded once more
    assert draft.decoded_tokens == before + 3


def test_a_step_copies_no_row_of_logits(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "wide.gguf", TinyModel(padding=20_000))
    with Model(path) as model, LlamaDraft(model, ContextSettings()) as draft:
        draft.begin(PROMPT, GREEDY)
        chain(draft, PROMPT, 3)
        tracemalloc.start()
        draft.expand([Leaf(3, 2, 9)], Detail())
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak_bytes < 20_000


# ---- bounds and failures


def test_cells_are_given_back_over_a_long_use(draft: LlamaDraft) -> None:
    log = list(PROMPT)
    for turn in range(300):  # 300 times 13 cells would be far more than the 256 there are
        draft.begin(log, GREEDY)
        draft.expand([Leaf(0, 0, log[-1])], Detail())
        draft.expand([Leaf(n, 0, 10 + n) for n in (1, 2, 3, 4)], Detail())
        draft.expand([Leaf(4 + n, n, 20 + n) for n in (1, 2, 3, 4)], Detail())
        draft.prune(1 + turn % 4)
        log = [*log[:100], 11 + turn % 4, 30 + turn % 7] if len(log) < 100 else list(PROMPT)
    assert draft.decoded_tokens > 2000


def test_stale_branches_give_way_when_the_cells_are_full(tiny: Model) -> None:
    with LlamaDraft(tiny, ContextSettings(cache=CacheType.F32, branches=2)) as draft:
        log = [5 + i % 200 for i in range(190)]
        draft.begin(log, GREEDY)
        draft.expand([Leaf(0, 0, log[-1])], Detail())
        branch = [Leaf(1, 0, 7), *(Leaf(n, n - 1, 7) for n in range(2, 60))]
        for leaf in branch:
            draft.expand([leaf], Detail())
        other = [Leaf(101, 0, 8), *(Leaf(n, n - 1, 8) for n in range(102, 160))]
        found = [draft.expand([leaf], ALL)[0] for leaf in other]
        assert_same(found[-1], fresh(tiny, [*log, *[8] * len(other)]))


def test_a_full_context_is_reported_and_what_stood_still_stands(
    tiny: Model, draft: LlamaDraft
) -> None:
    log = [5 + i % 200 for i in range(tiny.context_tokens - 1)]
    draft.begin(log, GREEDY)
    draft.expand([Leaf(0, 0, log[-1])], Detail())
    draft.expand([Leaf(1, 0, 9)], Detail())
    with pytest.raises(ContextFull):
        draft.expand([Leaf(2, 1, 9)], Detail())
    assert_same(draft.expand([Leaf(3, 0, 8)], ALL)[0], fresh(tiny, [*log, 8]))


def test_a_text_longer_than_the_context_is_refused_and_loses_nothing(
    tiny: Model, draft: LlamaDraft
) -> None:
    draft.begin(PROMPT, GREEDY)
    draft.expand([Leaf(0, 0, PROMPT[-1])], Detail())
    with pytest.raises(ContextFull):
        draft.begin([9] * (tiny.context_tokens + 1), GREEDY)
    assert_same(draft.expand([Leaf(1, 0, 9)], ALL)[0], fresh(tiny, [*PROMPT, 9]))


def test_a_smaller_context_than_the_models_can_be_asked_for(tiny: Model) -> None:
    with LlamaDraft(tiny, ContextSettings(tokens=20)) as draft:
        draft.begin([9] * 20, GREEDY)
        with pytest.raises(ContextFull):
            draft.begin([9] * 21, GREEDY)
        assert draft.context_tokens == 20


@pytest.mark.parametrize("token", [-1, 278, 1 << 40])
def test_a_token_outside_the_vocabulary_is_refused_and_loses_nothing(
    tiny: Model, draft: LlamaDraft, token: int
) -> None:
    draft.begin(PROMPT, GREEDY)
    draft.expand([Leaf(0, 0, PROMPT[-1])], Detail())
    with pytest.raises(DraftError):
        draft.begin([*PROMPT, token], GREEDY)
    with pytest.raises(DraftError):
        draft.expand([Leaf(1, 0, token)], Detail())
    assert_same(draft.expand([Leaf(2, 0, 9)], ALL)[0], fresh(tiny, [*PROMPT, 9]))


def test_after_a_failure_the_next_begin_starts_from_nothing(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "poisoned.gguf", TinyModel(poisoned=77))
    settings = ContextSettings(cache=CacheType.F32, branches=3)
    with Model(path) as model, LlamaDraft(model, settings) as draft:
        for _ in range(2):
            draft.begin(PROMPT, GREEDY)
            assert_same(draft.expand([Leaf(0, 0, PROMPT[-1])], ALL)[0], fresh(model, PROMPT))
            siblings = draft.expand([Leaf(n, 0, 10 + n) for n in (1, 2, 3)], ALL)
            assert_same(siblings[2], fresh(model, [*PROMPT, 13]))
            with pytest.raises(DraftError, match="logits"):
                draft.expand([Leaf(4, 1, 77)], Detail())
            with pytest.raises(DraftError, match="not told"):
                draft.expand([Leaf(5, 1, 9)], Detail())


def test_a_batch_longer_than_the_context_is_refused_and_dropped(tiny: Model) -> None:
    context = Context(tiny, ContextSettings(tokens=20))
    context.put(9, 0, 0)
    with pytest.raises(ContextFull):
        context.fill([9] * 1000, 1, 0)
    context.fill([9] * context.tokens, 0, 0)
    with pytest.raises(ContextFull):
        for position in range(1000):
            context.put(9, context.tokens + position, 0)
    context.put(9, 0, 0)
    context.decode()
    assert context.decoded_tokens == 1
    context.close()


def test_a_failed_decode_is_a_draft_error(tiny: Model) -> None:
    context = Context(tiny, EXACT)
    with pytest.raises(DraftError, match="could not decode"):
        context.decode()  # nothing was put
    context.put(1 << 20, 0, 0)
    with pytest.raises(DraftError, match="could not decode"):
        context.decode()
    context.close()


@pytest.mark.parametrize(
    "leaves",
    [
        [Leaf(1, 0, 9), Leaf(1, 0, 9)],
        [Leaf(n, 0, 9) for n in range(1, 6)],
        [Leaf(2, 1, 9)],
        [],
    ],
    ids=["twice the same", "more than branches", "below an unknown node", "none"],
)
def test_leaves_that_break_the_contract_are_refused(draft: LlamaDraft, leaves: list[Leaf]) -> None:
    draft.begin(PROMPT, GREEDY)
    draft.expand([Leaf(0, 0, PROMPT[-1])], Detail())
    with pytest.raises(BadInput):
        draft.expand(leaves, Detail())


@pytest.mark.parametrize("leaves", [[Leaf(1, 0, 9)], [Leaf(0, 0, 84), Leaf(1, 0, 9)]])
def test_after_a_new_text_the_root_comes_first(
    tiny: Model, draft: LlamaDraft, leaves: list[Leaf]
) -> None:
    draft.begin(PROMPT, GREEDY)
    with pytest.raises(BadInput, match="root"):
        draft.expand(leaves, Detail())
    assert_same(draft.expand([Leaf(0, 0, 84)], ALL)[0], fresh(tiny, PROMPT))


def test_an_empty_text_and_a_closed_draft_are_refused(tiny: Model) -> None:
    draft = LlamaDraft(tiny, EXACT)
    with pytest.raises(BadInput):
        draft.begin([], GREEDY)
    draft.begin(PROMPT, GREEDY)
    draft.close()
    draft.close()
    with pytest.raises(DraftError):
        draft.expand([Leaf(0, 0, PROMPT[-1])], Detail())
    with pytest.raises(DraftError):
        draft.begin(PROMPT, GREEDY)


@pytest.mark.parametrize(
    "wrong", [{"tokens": 0}, {"branches": 0}, {"branches": 65}, {"threads": 0}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(BadSettings):
        ContextSettings(**wrong)  # type: ignore[arg-type]


def test_drafts_of_one_model_do_not_disturb_each_other(tiny: Model, draft: LlamaDraft) -> None:
    other_text = [0, 99, 98, 97]
    with LlamaDraft(tiny, EXACT) as other:
        draft.begin(PROMPT, GREEDY)
        other.begin(other_text, GREEDY)
        mine = draft.expand([Leaf(0, 0, PROMPT[-1])], ALL)[0]
        theirs = other.expand([Leaf(0, 0, 97)], ALL)[0]
    assert_same(mine, fresh(tiny, PROMPT))
    assert_same(theirs, fresh(tiny, other_text))
