"""On-policy samples: written by the student, or in turn with the target, judged by the target."""

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from outrider_training.examples import Example
from outrider_training.sampling import Mixture, Sampler
from tests.training.moulds import CONFIGS, random_model
from tests.training.test_distil import judged

NOBODY = frozenset({-1})
GREEDY_STUDENT = Mixture(beta=0.0, temperature=0.0, max_tokens=9)


@pytest.fixture(scope="module")
def student() -> PreTrainedModel:
    return random_model(CONFIGS["llama"], seed=1)


@pytest.fixture(scope="module")
def target() -> PreTrainedModel:
    return random_model(CONFIGS["llama"], seed=7)


def greedy(model: PreTrainedModel, prompt: tuple[int, ...], count: int) -> tuple[int, ...]:
    tokens = list(prompt)
    with torch.inference_mode():
        for _ in range(count):
            tokens.append(int(model(torch.tensor([tokens])).logits[0, -1].argmax()))
    return tuple(tokens[len(prompt) :])


def test_the_student_alone_writes_what_it_would_alone(
    student: PreTrainedModel, target: PreTrainedModel
) -> None:
    """Prompts of several lengths at once: padding changes nothing."""
    examples = judged(5)
    for answer in Sampler(student, target, GREEDY_STUDENT, NOBODY).answers(examples, seed=0):
        assert answer.tokens == greedy(student, answer.prompt, 9)


def test_the_opinion_is_the_targets(student: PreTrainedModel, target: PreTrainedModel) -> None:
    for answer in Sampler(student, target, GREEDY_STUDENT, NOBODY).answers(judged(2), seed=0):
        whole = torch.tensor([answer.prompt + answer.tokens])
        with torch.inference_mode():
            rows = target(whole).logits[0, len(answer.prompt) - 1 : -1].log_softmax(dim=1)
        kept = torch.from_numpy(answer.tops.tokens).long()
        np.testing.assert_allclose(rows.gather(1, kept), answer.tops.logprobs, atol=1e-4)
        assert answer.choices == tuple(rows.argmax(dim=1).tolist())
        assert (answer.domain, answer.weights.tolist()) == ("sql", [1.0] * 9)


def test_the_mixture_is_drawn_from_both_in_its_share(
    student: PreTrainedModel, target: PreTrainedModel
) -> None:
    """Greedy, so that the first token is the one's or the other's."""
    one = judged(1)[0]
    (mine,), (theirs,) = greedy(student, one.prompt, 1), greedy(target, one.prompt, 1)
    assert mine != theirs
    mixture = Mixture(beta=0.25, temperature=0.0, max_tokens=1)
    answers = Sampler(student, target, mixture, NOBODY).answers([one] * 400, seed=5)
    firsts = [answer.tokens[0] for answer in answers]
    assert set(firsts) == {mine, theirs}
    assert 0.15 < firsts.count(theirs) / 400 < 0.35


def test_samples_follow_the_distribution(student: PreTrainedModel, target: PreTrainedModel) -> None:
    one = judged(1)[0]
    mixture = Mixture(beta=0.5, temperature=0.5, max_tokens=1)
    answers = Sampler(student, target, mixture, NOBODY).answers([one] * 3000, seed=1)
    found = np.bincount([answer.tokens[0] for answer in answers], minlength=320) / 3000
    with torch.inference_mode():
        rows = [m(torch.tensor([one.prompt])).logits[0, -1] for m in (student, target)]
    expected = sum((row / 0.5).softmax(dim=0).numpy() for row in rows) / 2
    assert 0.5 * np.abs(found - expected).sum() < 0.12


def test_an_end_token_ends_its_text_alone(
    student: PreTrainedModel, target: PreTrainedModel
) -> None:
    examples = judged(4)
    plain = Sampler(student, target, GREEDY_STUDENT, NOBODY).answers(examples, seed=0)
    end = plain[0].tokens[3]

    def cut(answer: Example) -> tuple[int, ...]:
        tokens = answer.tokens
        return tokens[: tokens.index(end) + 1] if end in tokens else tokens

    ended = Sampler(student, target, GREEDY_STUDENT, frozenset({end})).answers(examples, seed=0)
    assert [answer.tokens for answer in ended] == [cut(answer) for answer in plain]


def test_a_seed_gives_the_same_samples(student: PreTrainedModel, target: PreTrainedModel) -> None:
    mixture = Mixture(beta=0.5, max_tokens=6)
    sampler = Sampler(student, target, mixture, NOBODY)
    first, again, other = (sampler.answers(judged(3), seed=seed) for seed in (1, 1, 2))
    assert [a.tokens for a in first] == [a.tokens for a in again] != [a.tokens for a in other]
