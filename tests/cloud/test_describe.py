"""What a device is told of the target fits what a GGUF file of the same tokenizer says."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from outrider_cloud.describe import describe
from outrider_cloud.engine import EngineLimits
from outrider_cloud.errors import TargetError
from outrider_cloud.tokenizer import load_tokenizer, tokenizer_facts
from outrider_protos.fingerprint import fingerprint, probe_texts
from tests.simulators.target_folder import TEMPLATE, make_target_folder, tiny_tokenizer

LIMITS = EngineLimits(
    pages=10, page_tokens=4, context_tokens=64, vocab_size=300, end_ids=frozenset({1, 5})
)


def test_the_description_holds_the_tokenizer_and_the_limits() -> None:
    tokenizer = tiny_tokenizer()
    facts = tokenizer_facts(tokenizer)
    told = describe("tiny", tokenizer, facts, LIMITS)
    assert told.target_id == "tiny"
    assert told.tokenizer_fingerprint == fingerprint(facts)
    assert told.vocab_size == len(tokenizer)
    assert list(told.end_ids) == [1, 5]
    assert (told.bos_text, told.eos_text) == ("<|begin|>", "<|end|>")
    assert told.chat_template == TEMPLATE


def test_a_context_never_exceeds_all_the_kv_there_is() -> None:
    tokenizer = tiny_tokenizer()
    told = describe("tiny", tokenizer, tokenizer_facts(tokenizer), LIMITS)
    assert told.max_context_tokens == 40


def test_probes_are_the_tokenizers_own_ids_without_a_beginning() -> None:
    tokenizer = tiny_tokenizer()
    told = describe("tiny", tokenizer, tokenizer_facts(tokenizer), LIMITS)
    assert [probe.text for probe in told.probes] == list(probe_texts())
    assert all(tokenizer.decode(probe.ids) == probe.text for probe in told.probes)


def test_facts_are_what_the_folder_stores() -> None:
    tokenizer = tiny_tokenizer()
    facts = tokenizer_facts(tokenizer)
    stored = json.loads(tokenizer.backend_tokenizer.to_str())
    assert facts.kind == "bpe"
    assert facts.tokens[:2] == ("<|begin|>", "<|end|>")
    assert facts.tokens == tuple(tokenizer.convert_ids_to_tokens(range(len(tokenizer))))
    assert facts.merges == tuple(" ".join(pair) for pair in stored["model"]["merges"])


def test_a_model_that_ends_its_texts_otherwise_speaks_the_same_vocabulary() -> None:
    other = PreTrainedTokenizerFast(
        tokenizer_object=tiny_tokenizer().backend_tokenizer, eos_token="<|begin|>"
    )
    assert fingerprint(tokenizer_facts(other)) == fingerprint(tokenizer_facts(tiny_tokenizer()))


def test_pieces_with_bytes_of_their_own_have_no_merges() -> None:
    model = models.BPE(
        vocab={"<unk>": 0, "<0x41>": 1, "▁": 2, "a": 3, "▁a": 4},
        merges=[("▁", "a")],
        byte_fallback=True,
    )
    facts = tokenizer_facts(PreTrainedTokenizerFast(tokenizer_object=Tokenizer(model)))
    assert (facts.kind, facts.merges) == ("spm", ())
    assert facts.tokens == ("<unk>", "<0x41>", "▁", "a", "▁a")


def test_ids_without_a_text_stay_empty() -> None:
    model = models.BPE(vocab={"a": 0, "b": 3}, merges=[])
    facts = tokenizer_facts(PreTrainedTokenizerFast(tokenizer_object=Tokenizer(model)))
    assert facts.tokens == ("a", None, None, "b")


def test_a_kind_of_tokenizer_that_gguf_lacks_is_refused() -> None:
    words = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0})))
    with pytest.raises(TargetError, match="WordLevel"):
        tokenizer_facts(words)


def test_a_folder_gives_back_its_tokenizer(tmp_path: Path) -> None:
    loaded = load_tokenizer(str(make_target_folder(tmp_path / "tiny")))
    assert tokenizer_facts(loaded) == tokenizer_facts(tiny_tokenizer())


def test_a_folder_without_a_tokenizer_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="nothing-here"):
        load_tokenizer(str(tmp_path / "nothing-here"))
