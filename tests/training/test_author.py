"""What a target writes offline is what it writes alone, with the distribution it wrote it from."""

import numpy as np
import pytest
import torch

from outrider_cloud.errors import EngineError
from outrider_cloud.records.record import TOP_TOKENS
from outrider_cloud.reference import Reference
from outrider_cloud.transformers_engine.engine import TransformersEngine
from outrider_protos.words import Sampling
from outrider_training.author import Author, Written
from tests.cloud.engine.tiny import tiny_target

PROMPTS = [(3, 1, 4), (5,), (2, 7, 18, 28, 9, 60), (3, 1, 5)]
SAMPLED = Sampling(temperature=0.8, top_k=20, top_p=0.9, seed=2**64 - 2)


def written(sampling: Sampling, *, pages: int = 64, at_once: int = 3) -> dict[int, Written]:
    engine = TransformersEngine(tiny_target(), pages=pages)
    author = Author(engine, max_tokens=20, at_once=at_once)
    found = {text.index: text for text in author.write(PROMPTS, sampling)}
    assert engine.free_pages == pages
    return found


@pytest.mark.parametrize("sampling", [Sampling(), SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("at_once", [1, 3, 9])
def test_every_text_is_what_the_target_writes_alone(sampling: Sampling, at_once: int) -> None:
    reference = Reference(tiny_target())
    found = written(sampling, at_once=at_once)
    assert sorted(found) == [0, 1, 2, 3]
    for index, prompt in enumerate(PROMPTS):
        text = found[index]
        assert text.sampling.seed == (sampling.seed + index) % 2**64
        alone = reference.generate(prompt, text.sampling, len(prompt) + 20)
        assert list(text.tokens) == alone


def test_the_labels_of_a_position_are_the_targets_distribution_there() -> None:
    """Label i belongs to token i, not to the one before or after it."""
    reference = Reference(tiny_target(vocab_size=200))
    engine = TransformersEngine(tiny_target(vocab_size=200), pages=64)
    (text,) = Author(engine, max_tokens=12, at_once=1).write(PROMPTS[:1], SAMPLED)
    rows = reference.rows([*PROMPTS[0], *text.tokens])[len(PROMPTS[0]) - 1 : -1]
    logprobs = torch.from_numpy(rows).log_softmax(1).numpy()
    assert text.tops.tokens.shape == (len(text.tokens), TOP_TOKENS)
    expected = np.take_along_axis(logprobs, text.tops.tokens.astype(np.int64), 1)
    assert np.allclose(text.tops.logprobs, expected, atol=1e-4)
    likeliest = np.sort(logprobs, axis=1)[:, ::-1][:, :TOP_TOKENS]
    assert np.allclose(text.tops.logprobs, likeliest, atol=1e-4)
    assert np.allclose(text.tops.tails, 1 - np.exp(expected).sum(1), atol=1e-4)


def test_a_small_vocabulary_is_kept_whole() -> None:
    text = written(Sampling())[0]
    assert text.tops.tokens.shape[1] == 61
    assert np.allclose(text.tops.tails, 0, atol=1e-5)


def test_texts_wait_where_the_kv_of_all_at_once_would_not_fit() -> None:
    pages = 12  # of 16 tokens; a text of any length takes 8
    assert sorted(written(Sampling(), pages=pages)) == [0, 1, 2, 3]


def test_an_abandoned_run_frees_its_pages() -> None:
    engine = TransformersEngine(tiny_target(), pages=64)
    writing = Author(engine, max_tokens=20, at_once=4).write(PROMPTS, Sampling())
    next(writing)
    writing.close()
    assert engine.free_pages == 64


def test_labels_of_rows_that_nobody_judged_are_refused() -> None:
    engine = TransformersEngine(tiny_target(), pages=64)
    list(Author(engine, max_tokens=1, at_once=1).write(PROMPTS[:1], Sampling()))
    for session, row in ((1, 1), (1, -1), (2, 0)):
        with pytest.raises(EngineError):
            engine.hold(session, [row])
