"""Short trials choose a loss for every domain; a run that is taken up again chooses the same."""

from dataclasses import replace
from pathlib import Path

import pytest
from transformers import PreTrainedModel

from outrider_training.course import Plan
from outrider_training.examples import Example
from outrider_training.losses import Loss
from outrider_training.regimen import Regimen
from outrider_training.search import LossSearch, Search, Trial, best
from tests.training.moulds import CONFIGS, random_model
from tests.training.test_distil import judged

SEARCH = Search(losses=(Loss.TV, Loss.FORWARD_KL), steps=30, share=0.25)
PLAN = Plan(steps=100, examples_per_step=6)


def student() -> PreTrainedModel:
    return random_model(CONFIGS["llama"], seed=1)


def twice(domain: str) -> list[Example]:
    """Random texts, which teach nothing about others: the newest are those seen before."""
    texts = judged(8, domain=domain)
    return texts + [replace(text, time_s=text.time_s + 100) for text in texts]


def nobody() -> PreTrainedModel:
    raise AssertionError("nothing is to be tried")


def searched(
    folder: Path, examples: list[Example], make: object = student, origin: str = ""
) -> list[Trial]:
    assert callable(make)
    search = LossSearch(SEARCH, make, PLAN, Regimen(learning_rate=3e-3), folder)
    told: list[Trial] = []
    found = search.run(examples, origin, told.append)
    assert told in ([], found)
    return found


def test_the_best_is_chosen_for_each_domain() -> None:
    trials = [
        Trial("sql", Loss.TV, 0.4),
        Trial("sql", Loss.JSD, 0.6),
        Trial("sql", Loss.FORWARD_KL, 0.6),
        Trial("python", Loss.TV, 0.1),
    ]
    assert best(trials) == {"sql": Loss.JSD, "python": Loss.TV}


def test_every_loss_is_tried_on_every_domain_from_the_same_student(tmp_path: Path) -> None:
    """A domain of few answers is left out."""
    examples = twice("sql") + twice("python") + judged(3, domain="few")
    trials = searched(tmp_path, examples)
    assert [(t.domain, t.loss) for t in trials] == [
        (domain, loss) for domain in ("python", "sql") for loss in SEARCH.losses
    ]
    assert [t.agreement for t in trials[:2]] == [t.agreement for t in trials[2:]]
    assert len({t.agreement for t in trials}) == 2


def test_trials_are_judged_by_what_they_did_not_learn(tmp_path: Path) -> None:
    """Random texts teach nothing about each other; those learnt from would agree."""
    assert max(trial.agreement for trial in searched(tmp_path, judged(12))) < 0.1


def test_what_was_found_is_remembered_for_the_same_run_alone(tmp_path: Path) -> None:
    examples = judged(12)
    first = searched(tmp_path, examples)
    assert searched(tmp_path, examples, nobody) == first
    (tmp_path / "search.json").write_text("[")
    assert searched(tmp_path, examples) == first
    for others, origin in ((judged(12, seed=3), ""), (examples, "another draft")):
        with pytest.raises(AssertionError, match="nothing is to be tried"):
            searched(tmp_path, others, nobody, origin)
