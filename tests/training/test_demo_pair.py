"""The shipped pair is what the model card says, on a sample of the held-out tasks."""

from pathlib import Path

import pytest
from gguf import GGUFReader
from transformers import LlamaConfig

from outrider_training.bands import DEMO_BANDS, PairFigures
from outrider_training.demo_models import PairPaths, measure_pair, tasks_text
from outrider_training.recipe import DRAFT, TARGET, Shape

SAMPLE = 16
# Two answers of a sample may go wrong by chance before a share of 0.95 is doubted.
TARGET_SAMPLE_EXACT = 0.87
SAMPLE_SLACK = 0.2


@pytest.fixture(scope="module")
def figures(shipped: PairPaths) -> PairFigures:
    return measure_pair(shipped, SAMPLE)


def test_shipped_tasks_are_what_the_generator_makes(shipped: PairPaths) -> None:
    assert shipped.tasks.read_text(encoding="utf-8") == tasks_text()


def test_target_answers_every_domain(figures: PairFigures) -> None:
    for domain, exact in figures.target_exact.items():
        assert exact >= TARGET_SAMPLE_EXACT, domain


def test_draft_is_right_on_some_of_its_domains(figures: PairFigures) -> None:
    low, high = DEMO_BANDS.own_exact
    for domain in DEMO_BANDS.own_domains:
        assert low - SAMPLE_SLACK <= figures.draft[domain].exact <= high + SAMPLE_SLACK, domain


def test_draft_is_accepted_in_its_domains(figures: PairFigures) -> None:
    low, high = DEMO_BANDS.own_acceptance
    for domain in DEMO_BANDS.own_domains:
        assert low - 0.05 <= figures.draft[domain].acceptance <= high + 0.03, domain


def test_draft_is_rarely_accepted_in_strange_domains(figures: PairFigures) -> None:
    strange = set(figures.draft) - set(DEMO_BANDS.own_domains)
    assert strange == {"sql", "vietnamese", "japanese"}
    for domain in strange:
        assert figures.draft[domain].acceptance <= DEMO_BANDS.strange_acceptance, domain


def shape_of(config: LlamaConfig) -> Shape:
    return Shape(
        config.hidden_size,
        config.num_hidden_layers,
        config.num_attention_heads,
        config.num_key_value_heads,
        config.intermediate_size,
    )


def test_shipped_files_have_the_shapes_of_the_recipes(shipped: PairPaths) -> None:
    config = LlamaConfig.from_pretrained(shipped.target)
    assert shape_of(config) == TARGET.shape
    assert str(config.dtype) == "torch.bfloat16"
    fields = GGUFReader(shipped.draft).fields
    assert fields["general.name"].contents() == "Outrider demo draft"
    assert fields["llama.embedding_length"].contents() == DRAFT.shape.hidden
    assert fields["llama.block_count"].contents() == DRAFT.shape.layers


def test_shipped_files_are_small(shipped: PairPaths) -> None:
    files: list[Path] = [shipped.draft, shipped.tasks, *shipped.target.iterdir()]
    assert sum(file.stat().st_size for file in files) < 25_000_000
