"""Sources of a channel's files: a folder read by ranges, and a pace below which none is one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outrider_edge.errors import ChannelUnavailable, NotOffered
from outrider_edge.releases.source import FolderSource, Pace


class Clock:
    """Stands still unless it is told how long something took."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def pieces(self, sizes: list[tuple[float, int]]) -> Iterator[bytes]:
        """Each comes after so many seconds."""
        for seconds, size in sizes:
            self.now_s += seconds
            yield bytes(size)


PACE = Pace(window_s=10.0, least_bytes=100)


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(10, 1000)), max_size=50))
def test_a_pace_that_is_kept_changes_nothing(sizes: list[tuple[float, int]]) -> None:
    """Ten bytes in each second at least, so a hundred in each window."""
    clock = Clock()
    came = list(PACE.watch(clock.pieces(sizes), "it", clock))
    assert [len(piece) for piece in came] == [size for _, size in sizes]


@given(st.lists(st.tuples(st.floats(1, 100), st.integers(1, 8)), min_size=20, max_size=40))
def test_a_slower_one_is_given_up_after_a_window(sizes: list[tuple[float, int]]) -> None:
    clock, came = Clock(), 0
    with pytest.raises(ChannelUnavailable, match="it is given up"):
        for piece in PACE.watch(clock.pieces(sizes), "it", clock):
            came += len(piece)
    last_s = next(s for n, (s, _) in enumerate(sizes) if sum(t for t, _ in sizes[: n + 1]) >= 10)
    assert came < 100
    assert clock.now_s < PACE.window_s + last_s


def test_a_fast_beginning_buys_no_slow_end() -> None:
    clock = Clock()
    sizes = [(0.1, 1_000_000)] * 200 + [(6.0, 10)] * 4
    with pytest.raises(ChannelUnavailable, match="only 20 bytes came from it in 12 s"):
        list(PACE.watch(clock.pieces(sizes), "it", clock))


def test_a_slow_reader_is_not_the_sources_fault() -> None:
    clock, came = Clock(), 0
    for piece in PACE.watch(clock.pieces([(0.1, 1)] * 20), "it", clock):
        came += len(piece)
        clock.now_s += 100.0
    assert came == 20


@pytest.mark.parametrize("path", ["metadata/none", "file/below", "."])
def test_what_a_folder_has_not(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotOffered, match="the channel has no") as caught:
        list(FolderSource(tmp_path).read(path))
    assert str(tmp_path) not in str(caught.value)


def test_a_folder_that_cannot_be_read_is_no_channel_now(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ChannelUnavailable, match="the channel's folder: ") as caught:
        list(FolderSource(tmp_path).read("loop"))
    assert str(tmp_path) not in str(caught.value)
