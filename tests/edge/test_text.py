"""Text of tokens whose bytes are parts of characters, forwards and back."""

from hypothesis import given
from hypothesis import strategies as st

from outrider_edge.events import Confirmed, Origin, RolledBack, Written
from outrider_edge.text import Token, Typist


def piece(token: int) -> bytes:
    return bytes([token])


@given(st.text(max_size=30), st.lists(st.tuples(st.integers(0, 40), st.text(max_size=5))))
def test_text_is_that_of_the_bytes_whatever_was_rolled_back(
    text: str, detours: list[tuple[int, str]]
) -> None:
    typist = Typist(piece, 10)
    data: list[int] = []
    for back, more in [*detours, (1000, text)]:
        keep = max(0, len(data) - back)
        if keep < len(data):
            typist.type(RolledBack(10 + keep))
            del data[keep:]
        for byte in more.encode():
            typist.type(Written(10 + len(data), byte, Origin.PROVISIONAL))
            data.append(byte)
    assert typist.text(10, typist.end) == text
    assert typist.end == 10 + len(data)


def test_a_character_appears_with_its_last_byte() -> None:
    typist = Typist(piece, 0)
    events = [typist.type(Written(i, byte, Origin.DRAFT)) for i, byte in enumerate("ệ".encode())]
    assert [e.text for e in events if isinstance(e, Token)] == ["", "", "ệ"]


def test_a_broken_character_is_replaced() -> None:
    typist = Typist(piece, 0)
    typist.type(Written(0, 0xE1, Origin.DRAFT))
    typist.type(Written(1, ord("a"), Origin.DRAFT))
    assert typist.text(0, 2) == "\ufffda"


def test_other_events_pass_as_they_are() -> None:
    assert Typist(piece, 0).type(Confirmed(4)) == Confirmed(4)
