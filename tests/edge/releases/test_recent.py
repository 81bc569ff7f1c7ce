"""The newest answers, kept to try drafts on: bounded, private, and shared by processes."""

import multiprocessing
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outrider_edge.errors import StoreFailed
from outrider_edge.releases.recent import MOST_TOKENS, RecentAnswer, RecentAnswers
from outrider_protos.words import Sampling

SAMPLING = Sampling(temperature=0.7, top_k=40, top_p=0.9, seed=(1 << 64) - 1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "drafts" / "recent.sqlite"


def answer(first: int, length: int = 3, draft: str = "draft") -> RecentAnswer:
    return RecentAnswer(
        draft=draft,
        failed=False,
        domain="sums",
        prompt=(first, 1),
        tokens=tuple(range(length)),
        sampling=SAMPLING,
    )


def test_what_comes_back_is_what_was_kept(file: Path) -> None:
    recent = RecentAnswers(file, 4)
    kept = RecentAnswer(
        draft="a+b", failed=True, domain="", prompt=(), tokens=(5, 70_000), sampling=Sampling()
    )
    recent.add(kept)
    recent.add(answer(9))
    first, second = recent.after(0, 10)
    assert (first.number, second.number) == (1, 2)
    assert (first.draft, first.failed, first.domain) == ("a+b", True, "")
    assert (first.prompt, first.tokens, first.sampling) == ((), (5, 70_000), Sampling())
    assert second.sampling == SAMPLING


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(most=st.integers(0, 8), count=st.integers(0, 20), data=st.data())
def test_there_are_never_more_than_so_many_and_numbers_go_on(
    tmp_path_factory: pytest.TempPathFactory, most: int, count: int, data: st.DataObject
) -> None:
    recent = RecentAnswers(tmp_path_factory.mktemp("recent") / "recent.sqlite", most)
    assert recent.newest() == 0
    for number in range(count):
        recent.add(answer(number))
    there = recent.after(0, 100)
    assert [found.number for found in there] == list(range(max(0, count - most) + 1, count + 1))
    assert [found.prompt[0] + 1 for found in there] == [found.number for found in there]
    since, limit = data.draw(st.integers(0, 25)), data.draw(st.integers(0, 9))
    assert recent.after(since, limit) == [one for one in there if one.number > since][:limit]
    assert recent.newest() == (count if most else 0)


def test_what_is_too_long_or_empty_is_left_out(file: Path) -> None:
    recent = RecentAnswers(file, 4)
    recent.add(answer(1, length=0))
    recent.add(answer(1, length=MOST_TOKENS - 1))  # and two of the prompt
    assert not file.exists()
    recent.add(answer(1, length=MOST_TOKENS - 2))
    assert recent.newest() == 1


def test_only_the_owner_may_read_it(file: Path) -> None:
    RecentAnswers(file, 4).add(answer(1))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_went_is_nowhere_in_the_file(file: Path) -> None:
    recent = RecentAnswers(file, 2)
    for draft in ("first-and-gone", "second", "third"):
        recent.add(answer(1, draft=draft))
    said = b"".join(path.read_bytes() for path in file.parent.iterdir())
    assert b"third" in said
    assert b"first-and-gone" not in said


def test_the_file_does_not_grow(file: Path) -> None:
    recent = RecentAnswers(file, 3)
    sizes = []
    for number in range(30):
        recent.add(answer(number, length=4000))
        sizes.append(file.stat().st_size)
    assert max(sizes) == max(sizes[:6])


def add_some(file: Path, process: int) -> None:
    recent = RecentAnswers(file, 50)
    for number in range(25):
        recent.add(answer(number, draft=str(process)))


def test_processes_may_add_at_once(file: Path) -> None:
    """None is lost, and none waits for another for long."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=add_some, args=(file, number)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    there = RecentAnswers(file, 50).after(0, 200)
    assert [found.number for found in there] == list(range(51, 101))


def test_answers_of_another_version_are_left_out(file: Path) -> None:
    recent = RecentAnswers(file, 4)
    recent.add(answer(1))
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("INSERT INTO answers (answer) VALUES ('{\"draft\": 1}')")
        connection.execute("INSERT INTO answers (answer) VALUES (x'ff')")
    recent.add(answer(2))
    assert [found.number for found in recent.after(0, 10)] == [1, 4]


def test_a_file_that_is_none_is_named_without_its_folder(file: Path) -> None:
    recent = RecentAnswers(file, 4)
    file.parent.mkdir()
    for use in (lambda: recent.add(answer(1)), recent.newest, lambda: recent.after(0, 1)):
        file.write_bytes(b"no database, but longer than a header of one" * 100)
        with pytest.raises(StoreFailed, match=r"recent\.sqlite: file is not a database") as caught:
            use()
        assert str(file.parent) not in str(caught.value)


def test_a_folder_that_cannot_be_used(file: Path) -> None:
    file.mkdir(parents=True)
    with pytest.raises(StoreFailed, match=r"recent\.sqlite: Is a directory") as caught:
        RecentAnswers(file, 4).newest()
    assert str(file) not in str(caught.value)
