"""Text to ids and back through the real tokenizer of a GGUF file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outrider_edge.errors import BadText
from outrider_edge.events import Origin, Written
from outrider_edge.llama.model import Model
from outrider_edge.text import Token, Typist
from tests.simulators.gguf_files import BEGIN, END, MERGES, USER

TEXTS = st.text(st.characters(codec="utf-8"), max_size=60)


@given(text=TEXTS)
def test_pieces_of_the_tokens_of_a_text_are_the_text(tiny: Model, text: str) -> None:
    tokens = tiny.vocabulary.tokenize(text, parse_special=False, add_special=False)
    assert b"".join(map(tiny.vocabulary.piece, tokens)) == text.encode()


@given(text=TEXTS)
def test_text_appears_whole_however_its_bytes_are_spread_over_tokens(
    tiny: Model, text: str
) -> None:
    tokens = tiny.vocabulary.tokenize(text, parse_special=False, add_special=False)
    typist = Typist(tiny.vocabulary.piece, 0)
    written = [typist.type(Written(at, t, Origin.DRAFT)) for at, t in enumerate(tokens)]
    pieces = [event.text for event in written if isinstance(event, Token)]
    assert "".join(pieces) == text
    assert "\ufffd" not in "".join(pieces) or "\ufffd" in text


def test_a_character_spread_over_two_tokens_appears_with_the_last(tiny: Model) -> None:
    tokens = tiny.vocabulary.tokenize("文", parse_special=False, add_special=False)
    typist = Typist(tiny.vocabulary.piece, 0)
    events = [typist.type(Written(at, t, Origin.DRAFT)) for at, t in enumerate(tokens)]
    assert [e.text for e in events if isinstance(e, Token)] == ["", "文"]


def test_control_texts_become_control_tokens_only_when_asked(tiny: Model) -> None:
    vocabulary = tiny.vocabulary
    parsed = vocabulary.tokenize(f"{USER}a{END}", parse_special=True, add_special=False)
    plain = vocabulary.tokenize(f"{USER}a{END}", parse_special=False, add_special=False)
    assert [vocabulary.text(parsed[0]), vocabulary.text(parsed[-1])] == [USER, END]
    assert parsed[-1] in vocabulary.end_ids
    assert not vocabulary.end_ids & set(plain)
    assert b"".join(map(vocabulary.piece, plain)).decode() == f"{USER}a{END}"


def test_the_begin_token_is_added_only_when_asked(tiny: Model) -> None:
    vocabulary = tiny.vocabulary
    with_begin = vocabulary.tokenize("the", parse_special=False, add_special=True)
    without = vocabulary.tokenize("the", parse_special=False, add_special=False)
    assert with_begin == [vocabulary.begin_id, *without]
    assert vocabulary.text(with_begin[0]) == BEGIN


def test_merges_of_the_file_are_applied(tiny: Model) -> None:
    assert "th e" in MERGES
    assert len(tiny.vocabulary.tokenize("the", parse_special=False, add_special=False)) == 1


def test_control_and_padding_tokens_have_no_text(tiny: Model) -> None:
    vocabulary = tiny.vocabulary
    assert vocabulary.end_id is not None
    assert vocabulary.piece(vocabulary.end_id) == b""
    assert vocabulary.piece(vocabulary.size) == b""


def test_half_a_surrogate_pair_is_refused_as_bad_text(tiny: Model) -> None:
    with pytest.raises(BadText, match="UTF-8"):
        tiny.vocabulary.tokenize("a\ud800b", parse_special=False, add_special=False)


def test_empty_text_has_no_tokens(tiny: Model) -> None:
    assert tiny.vocabulary.tokenize("", parse_special=False, add_special=False) == []
