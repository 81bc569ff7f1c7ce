"""Pieces that are right are fetched once, whatever happens in between; wrong ones never count."""

from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outrider_edge.errors import BadRelease
from outrider_edge.releases.chunks import ChunkPlan, complete, missing


class Source:
    """Serves a file in small pieces; may die, or lie about some chunks a few times."""

    def __init__(self, content: bytes, chunk: int) -> None:
        self.content, self.chunk = content, chunk
        self.asked: Counter[int] = Counter()
        self.dies_after: int | None = None
        self.lies: Counter[int] = Counter()

    def fetch(self, first: int, count: int) -> Iterator[bytes]:
        for begin in range(first, first + count, self.chunk):
            number = begin // self.chunk
            self.asked[number] += 1
            data = self.content[begin : min(begin + self.chunk, first + count)]
            if self.dies_after is not None:
                if self.dies_after == 0:
                    yield data[:1]
                    raise ConnectionError
                self.dies_after -= 1
            if self.lies[number] > 0:
                self.lies[number] -= 1
                data = bytes(len(data))
            for start in range(0, len(data), 3):
                yield data[start : start + 3]


def planned(folder: Path, content: bytes, chunk: int) -> ChunkPlan:
    (folder / "original").write_bytes(content)
    return ChunkPlan.of(folder / "original", chunk)


@given(
    content=st.binary(max_size=200),
    chunk=st.integers(1, 40),
    deaths=st.lists(st.integers(0, 5), max_size=6),
)
def test_every_chunk_is_fetched_once_however_often_it_dies(
    content: bytes, chunk: int, deaths: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Each life is a new process that knows the file alone."""
    folder = tmp_path_factory.mktemp("chunks")
    plan, source = planned(folder, content, chunk), Source(content, chunk)
    failed: Counter[int] = Counter()
    for life in [*deaths, None]:
        source.dies_after = life
        before = source.asked.copy()
        try:
            complete(folder / "file", plan, source.fetch, lambda count: None)
        except ConnectionError:
            failed[max((source.asked - before).keys())] += 1
    assert (folder / "file").read_bytes() == content
    for number in range(len(plan.digests)):
        assert source.asked[number] <= 1 + failed[number]


def test_only_what_is_wrong_is_fetched_again(tmp_path: Path) -> None:
    content = bytes(range(100))
    plan, source = planned(tmp_path, content, 10), Source(content, 10)
    (tmp_path / "file").write_bytes(content[:35] + b"\xff" + content[36:] + b"too long")
    told: list[int] = []
    complete(tmp_path / "file", plan, source.fetch, told.append)
    assert source.asked == {3: 1}
    assert sum(told) == 100
    assert (tmp_path / "file").read_bytes() == content
    assert missing(tmp_path / "file", plan) == []


def test_a_source_that_lies_is_asked_again_and_then_given_up(tmp_path: Path) -> None:
    content = bytes(range(100))
    plan, source = planned(tmp_path, content, 10), Source(content, 10)
    source.lies[4] = 2
    complete(tmp_path / "file", plan, source.fetch, lambda count: None)
    assert source.asked[4] == 3
    source.lies[2] = 99
    (tmp_path / "file").unlink()
    with pytest.raises(BadRelease, match="other bytes"):
        complete(tmp_path / "file", plan, source.fetch, lambda count: None)
    assert missing(tmp_path / "file", plan) == [2]


def test_a_source_that_has_another_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    content = bytes(range(200))
    plan, came = planned(tmp_path, content, 1), list[int]()

    def other(first: int, count: int) -> Iterator[bytes]:
        for number in range(first, first + count):
            came.append(number)
            yield bytes([255 - number])

    with pytest.raises(BadRelease, match="other bytes"):
        complete(tmp_path / "file", plan, other, lambda count: None)
    assert len(came) == 38


def test_endless_data_is_cut_off(tmp_path: Path) -> None:
    plan = planned(tmp_path, b"x" * 25, 10)

    def endless(first: int, count: int) -> Iterator[bytes]:
        while True:
            yield b"x" * 7

    complete(tmp_path / "file", plan, endless, lambda count: None)
    assert (tmp_path / "file").read_bytes() == b"x" * 25


@pytest.mark.parametrize(
    ("size", "chunk", "count"), [(10, 0, 1), (10, 5, 1), (-1, 5, 0), (10, 1 << 30, 1)]
)
def test_a_plan_that_does_not_fit_is_refused(size: int, chunk: int, count: int) -> None:
    digests = (sha256(b"").digest(),) * count
    with pytest.raises(BadRelease):
        ChunkPlan(size_bytes=size, chunk_bytes=chunk, digests=digests)
