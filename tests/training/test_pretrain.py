"""Training: what a step sees, what counts as loss, and that a cut-off run goes on unchanged."""

from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from outrider_training.bands import DEMO_BANDS, Bands, PairFigures
from outrider_training.batches import IGNORED, step_batches, step_tasks
from outrider_training.demo_models import PairPaths, Plan, build_pair
from outrider_training.errors import QualityError
from outrider_training.evaluate import DraftFigures
from outrider_training.pretrain import Training, learning_rate, train
from outrider_training.recipe import DRAFT, TARGET, Portion, Recipe, Shape
from outrider_training.tasks import KINDS, Split

CPU = torch.device("cpu")
TINY = Recipe(
    name="tiny",
    shape=Shape(hidden=64, layers=1, heads=2, key_value_heads=1, inner=64),
    diet=(Portion("english", 2), Portion("python", 1, ("unique", "mean"))),
    steps=6,
    tasks_per_step=6,
    learning_rate=3e-3,
    seed=4,
)

ANYTHING = Bands(0.0, ("english", "python"), (0.0, 1.0), (0.0, 1.0), 1.0)


def test_a_step_draws_training_tasks_in_the_shares_of_the_diet() -> None:
    tasks = step_tasks(TINY, 3)
    assert [task.domain for task in tasks] == ["english", "english", "python"] * 2
    assert all(task.split is Split.TRAINING for task in tasks)
    assert tasks == step_tasks(TINY, 3)
    assert tasks != step_tasks(TINY, 4)


def test_the_draft_never_meets_the_strange_domains_and_the_target_meets_all() -> None:
    assert {task.domain for task in step_tasks(DRAFT, 0)} == {"english", "python"}
    assert {task.domain for task in step_tasks(TARGET, 0)} == set(KINDS)
    for portion in DRAFT.diet:
        assert set(portion.kinds or ()) < set(KINDS[portion.domain])


def test_only_the_answer_and_its_end_count_as_loss(tokenizer: PreTrainedTokenizerFast) -> None:
    answers = {task.answer + "<|end|>" for task in step_tasks(TINY, 0)}
    found = set()
    for batch in step_batches(TINY, 0, tokenizer):
        for inputs, labels in zip(batch.inputs, batch.labels, strict=True):
            wanted = labels != IGNORED
            found.add(tokenizer.decode(labels[wanted]))
            assert tokenizer.decode(inputs[: int(wanted.nonzero()[0]) + 1]).endswith(
                "<|end|><|assistant|>"
            )
    assert found == answers


def test_rate_warms_up_peaks_and_falls_to_nothing() -> None:
    rates = [learning_rate(TARGET, step) for step in range(TARGET.steps)]
    assert rates[0] < rates[50] < rates[99]
    assert max(rates) <= TARGET.learning_rate
    assert rates[-1] < 0.03 * TARGET.learning_rate


def test_a_run_that_was_cut_off_ends_with_the_same_weights(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    whole = train(TINY, tokenizer, tmp_path / "none", CPU, print)
    half = Training(TINY, tokenizer, CPU)
    for _ in range(3):
        half.advance()
    half.save(tmp_path / "half")
    resumed = train(TINY, tokenizer, tmp_path / "half", CPU, print)
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_a_checkpoint_of_another_recipe_is_ignored(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    Training(DRAFT, tokenizer, CPU).save(tmp_path / "other")
    training = Training(TINY, tokenizer, CPU)
    training.resume(tmp_path / "other")
    assert training.step == 0


def test_training_lowers_the_loss(tokenizer: PreTrainedTokenizerFast) -> None:
    training = Training(TINY, tokenizer, CPU)
    first, *_, last = [training.advance() for _ in range(40)]
    assert last < 0.95 * first


def figures(exact: float, draft: DraftFigures, strange: float) -> PairFigures:
    return PairFigures(
        {"english": exact, "sql": exact}, {"english": draft, "sql": DraftFigures(0.0, strange)}
    )


@pytest.mark.parametrize(
    ("measured", "missed"),
    [
        (figures(0.97, DraftFigures(0.5, 0.8), 0.3), []),
        (figures(0.94, DraftFigures(0.5, 0.8), 0.3), ["target", "target"]),
        (figures(0.97, DraftFigures(0.9, 0.96), 0.3), ["right on 0.900", "accepted on 0.960"]),
        (figures(0.97, DraftFigures(0.3, 0.6), 0.3), ["right on 0.300", "accepted on 0.600"]),
        (figures(0.97, DraftFigures(0.5, 0.8), 0.6), ["accepted on 0.600 of sql"]),
    ],
)
def test_figures_outside_their_bands_are_named(measured: PairFigures, missed: list[str]) -> None:
    misses = DEMO_BANDS.misses(measured)
    assert len(misses) == len(missed)
    assert all(part in miss for part, miss in zip(missed, misses, strict=True))


def test_a_pair_outside_the_bands_replaces_nothing(tmp_path: Path) -> None:
    shipped = PairPaths.within(tmp_path / "shipped")
    shipped.target.mkdir(parents=True)
    shipped.draft.write_bytes(b"the good one")
    plan = Plan(TINY, TINY, DEMO_BANDS, measured_tasks=2)
    with pytest.raises(QualityError, match=r"target right on 0\.000 of english"):
        build_pair(plan, tmp_path / "scratch", shipped, CPU, print)
    assert shipped.draft.read_bytes() == b"the good one"
    assert not list(shipped.target.iterdir())


def test_a_pair_within_the_bands_replaces_the_old_one(tmp_path: Path) -> None:
    shipped = PairPaths.within(tmp_path / "shipped")
    shipped.target.mkdir(parents=True)
    (shipped.target / "stale").touch()
    build_pair(
        Plan(TINY, TINY, ANYTHING, measured_tasks=2), tmp_path / "scratch", shipped, CPU, print
    )
    names = {path.name for path in shipped.target.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert "stale" not in names
    assert shipped.draft.read_bytes()[:4] == b"GGUF"
    assert sorted(p.name for p in (tmp_path / "shipped").iterdir()) == [
        "demo-draft.gguf",
        "demo-target",
        "demo-tasks.jsonl",
    ]
