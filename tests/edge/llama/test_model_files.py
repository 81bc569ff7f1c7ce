"""Good files say what they are; bad ones are refused with the reason, before anything crashes."""

import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outrider_edge.errors import BadModelFile
from outrider_edge.llama.gguf_header import read_header
from outrider_edge.llama.model import Model
from outrider_protos.fingerprint import fingerprint
from tests.simulators.gguf_files import (
    MERGES,
    TinyModel,
    tokens_of,
    write_gguf,
    write_hollow_gguf,
    write_recurrent_gguf,
)


def header_of(key: bytes, *numbers: int) -> bytes:
    """A GGUF file of no tensors and one key; 32-bit numbers follow it."""
    parts = [(3).to_bytes(4, "little"), bytes(8), (1).to_bytes(8, "little"), key]
    return b"GGUF" + b"".join(parts + [number.to_bytes(4, "little") for number in numbers])


def test_a_header_says_what_the_file_holds(tiny_path: Path) -> None:
    header = read_header(tiny_path)
    facts = header.tokenizer()
    assert header.architecture == "llama"
    assert header.number("llama.context_length") == 256
    assert facts.kind == "bpe"
    assert list(facts.tokens) == tokens_of(TinyModel())[0]
    assert facts.merges == MERGES


def test_padding_of_the_vocabulary_does_not_change_the_fingerprint(tmp_path: Path) -> None:
    wide = write_gguf(tmp_path / "wide.gguf", TinyModel(padding=40))
    narrow = write_gguf(tmp_path / "narrow.gguf", TinyModel(padding=0))
    assert fingerprint(read_header(wide).tokenizer()) == fingerprint(
        read_header(narrow).tokenizer()
    )


def test_a_model_knows_its_context_template_and_size(tiny: Model) -> None:
    assert tiny.context_tokens == 256
    assert tiny.chat_template is not None
    assert "bos_token" in tiny.chat_template
    assert tiny.vocabulary.size == len(tokens_of(TinyModel())[0])
    assert tiny.size_bytes > 4 * tiny.vocabulary.size * TinyModel().width


def test_a_model_can_be_closed_twice(tiny_path: Path) -> None:
    model = Model(tiny_path)
    model.close()
    model.close()
    assert model.pointer is None


def test_a_missing_file_is_named_without_its_folder(tmp_path: Path) -> None:
    with pytest.raises(BadModelFile, match="there is no such file") as caught:
        Model(tmp_path / "absent.gguf")
    assert str(caught.value).startswith("absent.gguf: ")
    assert str(tmp_path) not in str(caught.value)


def test_a_folder_is_not_a_model(tmp_path: Path) -> None:
    with pytest.raises(BadModelFile, match="folder"):
        Model(tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04 something else", "is not a GGUF file"),
        (b"GG", "is not a GGUF file"),
        (b"GGUF", "cut short"),
        (b"GGUF" + (77).to_bytes(4, "little") + bytes(16), "version 77"),
        (b"GGUF" + (3).to_bytes(4, "little") + b"\xff" * 16, "absurd number"),
        (header_of(b"\xff" * 7 + b"\x00"), "text of absurd length"),
        (header_of((1).to_bytes(8, "little") + b"k", 99), "unknown type 99"),
        (header_of((1).to_bytes(8, "little") + b"\xff", 0, 0), "not UTF-8"),
        (header_of((1).to_bytes(8, "little") + b"k", 9, 4, 0, 1 << 8), "array of absurd length"),
        (header_of((1).to_bytes(8, "little") + b"k", 9, 8, 9, 0), "cut short"),
    ],
)
def test_what_is_no_gguf_file_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    with pytest.raises(BadModelFile, match=reason):
        Model(path)


def test_many_arrays_are_no_way_around_a_bound(tmp_path: Path) -> None:
    """A device reads the header of a draft that nobody has tried yet."""
    count = 1 << 20
    arrays = b"".join(
        struct.pack("<Q1sIIQ", 1, key, 9, 0, count) + bytes(count) for key in (b"a", b"b", b"c")
    )
    path = tmp_path / "long.gguf"
    path.write_bytes(struct.pack("<4sIQQ", b"GGUF", 3, 0, 3) + arrays)
    with pytest.raises(BadModelFile, match="array of absurd length"):
        read_header(path)


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, tiny_path: Path, share: float) -> None:
    data = tiny_path.read_bytes()
    path = tmp_path / "cut.gguf"
    path.write_bytes(data[: int(len(data) * share)])
    for read in (read_header, Model):
        with pytest.raises(BadModelFile, match="cut short"):
            read(path)


@given(data=st.data())
def test_a_damaged_header_is_read_or_refused_never_worse(
    tiny_path: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(tiny_path.read_bytes()[:9000])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(4, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.gguf"
    path.write_bytes(content)
    with pytest.raises(BadModelFile):  # at least the weights are missing
        read_header(path).tokenizer()


def test_an_unknown_architecture_is_named(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "strange.gguf", TinyModel(architecture="perceptron9"))
    with pytest.raises(BadModelFile, match="architecture perceptron9"):
        Model(path)


def test_a_model_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "mute.gguf", TinyModel(tokenizer=False))
    with pytest.raises(BadModelFile, match="no tokenizer"):
        Model(path)


def test_tensors_that_make_no_model_are_refused_without_the_path(tmp_path: Path) -> None:
    path = write_hollow_gguf(tmp_path / "hollow.gguf")
    with pytest.raises(BadModelFile, match="do not make a model") as caught:
        Model(path)
    assert str(tmp_path) not in str(caught.value)


def test_a_model_whose_state_cannot_be_cut_is_refused(tmp_path: Path) -> None:
    path = write_recurrent_gguf(tmp_path / "mamba.gguf")
    with pytest.raises(BadModelFile, match="cannot be cut back"):
        Model(path)


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pipe.gguf"
    os.symlink("pipe.gguf", path)  # a loop: it cannot be opened, whoever asks
    with pytest.raises(BadModelFile, match="cannot be read"):
        Model(path)
