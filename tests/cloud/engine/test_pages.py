"""Pages: nobody's twice, nobody's lost, and neighbours wherever there is room."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outrider_cloud.errors import EngineError
from outrider_cloud.transformers_engine.pages import Moved, Pages

COUNT = 12


@given(wishes=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40) | st.none()), max_size=30))
def test_a_page_belongs_to_one_session_and_content_is_never_lost(
    wishes: list[tuple[int, int | None]],
) -> None:
    pages = Pages(COUNT, 4)
    content: dict[int, str] = {}  # what a page holds
    held: dict[int, int] = {}
    for session, tokens in wishes:
        if tokens is None:
            pages.release(session)
            held.pop(session, None)
            continue
        wanted = -(-tokens // 4)
        if wanted - held.get(session, 0) > COUNT - sum(held.values()):
            with pytest.raises(EngineError):
                pages.resize(session, tokens)
            continue
        moved = pages.resize(session, tokens)
        if moved is not None:
            copies = [content[page] for page in moved.source]
            content.update(zip(moved.target, copies, strict=True))
        lease = pages.lease(session)
        assert len(lease.pages) == wanted
        for place in range(min(held.get(session, 0), wanted)):
            assert content[lease.pages[place]] == f"{session}/{place}"
        content.update({page: f"{session}/{n}" for n, page in enumerate(lease.pages)})
        if lease.contiguous:
            assert all(page + 1 == following for page, following in pairwise(lease.pages))
        held[session] = wanted
        taken = [page for each in held for page in pages.lease(each).pages]
        assert len(set(taken)) == len(taken) == COUNT - pages.free


def test_sessions_grow_in_place_as_long_as_there_is_room_between_them() -> None:
    pages = Pages(64, 4)
    for tokens in range(1, 57, 5):
        for session in range(4):
            assert pages.resize(session, tokens) is None
            assert pages.lease(session).contiguous


def test_a_session_with_no_room_behind_it_moves_in_one_piece() -> None:
    pages = Pages(8, 4)
    pages.resize(1, 8)  # pages 0 and 1
    pages.resize(2, 4)
    assert pages.lease(2).pages == [4]
    pages.resize(1, 16)
    pages.resize(2, 16)  # 5, 6 and 7 follow 4
    assert pages.lease(2).pages == [4, 5, 6, 7]
    pages.release(1)
    pages.resize(2, 4)
    pages.resize(3, 4)
    assert pages.lease(3).pages == [0]
    pages.resize(4, 4)  # in the middle of 1 to 3, or of 5 to 7
    assert pages.lease(4).pages == [2]
    moved = pages.resize(3, 12)
    assert moved == Moved((0,), (5,))
    assert pages.lease(3).pages == [5, 6, 7]


def test_without_a_wide_gap_pages_are_scattered_and_gathered_again_later() -> None:
    pages = Pages(6, 4)
    pages.resize(1, 4)
    pages.resize(2, 4)
    pages.resize(1, 20)
    assert not pages.lease(1).contiguous
    assert pages.free == 0
    pages.resize(1, 4)
    pages.release(2)
    pages.resize(1, 0)
    pages.resize(1, 20)
    assert pages.lease(1).contiguous
