"""llama.cpp and transformers cut every text into the same tokens."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from gguf import GGUFWriter
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)
from transformers import PreTrainedTokenizerFast

from outrider_training.convert import convert
from outrider_training.demo_models import PairPaths, held_out_tasks
from outrider_training.errors import TokenizerUnsupportedError
from outrider_training.gguf_model import GgufModel
from outrider_training.gguf_tokenizer import write_tokenizer
from outrider_training.quantize import StorageType
from outrider_training.tasks import DOMAINS, Split, generate
from outrider_training.tokenizer import chat_prompt
from tests.training.conftest import MakeFolder

# First and last code point of what a random string may hold.
RANGES = (
    (0x20, 0x7E),
    (0x30, 0x39),
    (0x41, 0x7A),
    (0x20, 0x20),
    (0x0A, 0x0A),
    (0x00, 0x1F),  # control characters
    (0x7F, 0xFF),
    (0x300, 0x36F),  # combining marks
    (0x1EA0, 0x1EF9),  # Vietnamese
    (0x3040, 0x30FF),  # kana
    (0x4E00, 0x9FFF),  # kanji
    (0x1F300, 0x1F6FF),  # emoji
    (0x660, 0x669),  # digits of other scripts
    (0x966, 0x96F),
    (0x2150, 0x218F),
    (0x2000, 0x206F),  # spaces and joiners
    (0xFF00, 0xFFEF),
    (0x600, 0x6FF),
    (0xE00, 0xE7F),
    (0x01, 0xD7FF),
    (0xE000, 0x10FFFF),
)
SPECIALS = ("<|bos|>", "<|end|>", "<|user|>", "<|assistant|>", "<|end", "|>", "'s", "'LL", "\r\n")


def random_texts(count: int) -> Iterator[str]:
    random = Random(7)
    for _ in range(count):
        parts = []
        for _ in range(random.randint(1, 8)):
            low, high = random.choice(RANGES)
            parts += [chr(random.randint(low, high)) for _ in range(random.randint(1, 6))]
            if random.random() < 0.1:
                parts.append(random.choice(SPECIALS))
        yield "".join(parts)


def disagreements(
    model: GgufModel, tokenizer: PreTrainedTokenizerFast, texts: Iterator[str]
) -> list[str]:
    return [text for text in texts if model.tokenize(text) != tokenizer(text).input_ids]


def test_shipped_files_agree_on_all_demo_text_and_random_strings(shipped: PairPaths) -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(shipped.target)
    with GgufModel(shipped.draft) as draft:
        training = (task for domain in DOMAINS for task in generate(domain, 3, 300, Split.TRAINING))
        for task in (*held_out_tasks(200), *training):
            text = chat_prompt(task.prompt) + task.answer
            assert draft.tokenize(text) == tokenizer(text).input_ids
        assert disagreements(draft, tokenizer, random_texts(10_000)) == []


def test_shipped_tokenizer_is_the_one_the_generator_teaches(
    shipped: PairPaths, tokenizer: PreTrainedTokenizerFast
) -> None:
    trained = PreTrainedTokenizerFast.from_pretrained(shipped.target)
    assert trained.backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()
    assert trained.chat_template == tokenizer.chat_template


def test_no_special_token_is_added_by_itself(
    make_folder: MakeFolder, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    convert(make_folder(), tmp_path / "tiny.gguf", StorageType.F16)
    with GgufModel(tmp_path / "tiny.gguf") as model:
        assert model.tokenize("") == tokenizer("").input_ids == []
        assert model.tokenize("<|end|>") == tokenizer("<|end|>").input_ids == [1]


def test_chat_template_and_prompt_are_one(tokenizer: PreTrainedTokenizerFast) -> None:
    question = [{"role": "user", "content": "How many?"}]
    prompt = tokenizer.apply_chat_template(question, tokenize=False, add_generation_prompt=True)
    assert prompt == chat_prompt("How many?")
    turns = [*question, {"role": "assistant", "content": "4."}, *question]
    assert tokenizer.apply_chat_template(turns, tokenize=False) == (
        "<|bos|><|user|>How many?<|end|><|assistant|>4.<|end|><|user|>How many?<|end|>"
    )


def test_every_digit_is_a_token_of_its_own(tokenizer: PreTrainedTokenizerFast) -> None:
    for text in ("1234567890", " 42", "a1b2", "٣٤"):
        digits = [character for character in text if character.isdigit()]
        starts = {start for start, _ in tokenizer(text, return_offsets_mapping=True).offset_mapping}
        assert starts >= {text.index(digit) for digit in digits}


def byte_bpe(pre_tokenizer: pre_tokenizers.PreTokenizer) -> Tokenizer:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizer
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<s>"], initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator((task.prompt for task in held_out_tasks(40)), trainer)
    return backend


@pytest.mark.parametrize(
    "pre_tokenizer",
    [
        pre_tokenizers.ByteLevel(add_prefix_space=False),
        pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        ),
    ],
    ids=["gpt-2", "smollm"],
)
def test_other_known_pre_tokenizers_agree_too(
    make_folder: MakeFolder, tmp_path: Path, pre_tokenizer: pre_tokenizers.PreTokenizer
) -> None:
    other = PreTrainedTokenizerFast(tokenizer_object=byte_bpe(pre_tokenizer), bos_token="<s>")
    folder = make_folder(vocab_size=len(other))
    other.save_pretrained(folder)
    convert(folder, tmp_path / "other.gguf", StorageType.F16)
    with GgufModel(tmp_path / "other.gguf") as model:
        assert disagreements(model, other, random_texts(3000)) == []


def with_normalizer(backend: Tokenizer) -> None:
    backend.normalizer = normalizers.NFC()


def with_prefix_space(backend: Tokenizer) -> None:
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)


def with_whitespace(backend: Tokenizer) -> None:
    backend.pre_tokenizer = pre_tokenizers.Whitespace()


def without_pre_tokenizer(backend: Tokenizer) -> None:
    backend.pre_tokenizer = None


def with_stripping_token(backend: Tokenizer) -> None:
    backend.add_special_tokens([AddedToken("<x>", lstrip=True)])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (with_normalizer, "normalizer"),
        (with_prefix_space, "adds a space"),
        (with_whitespace, "unknown pre-tokenizer"),
        (without_pre_tokenizer, "no pre-tokenizer"),
        (with_stripping_token, "strips"),
    ],
)
def test_what_llama_cpp_would_cut_differently_is_refused(change: object, reason: str) -> None:
    backend = byte_bpe(pre_tokenizers.ByteLevel(add_prefix_space=False))
    assert callable(change)
    change(backend)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>")
    with pytest.raises(TokenizerUnsupportedError, match=reason):
        write_tokenizer(GGUFWriter(None, "llama"), tokenizer, 700)


def test_more_tokens_than_embedding_rows_are_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(TokenizerUnsupportedError, match="1536 tokens for 100 embedding rows"):
        write_tokenizer(GGUFWriter(None, "llama"), tokenizer, 100)
