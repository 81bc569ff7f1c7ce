"""Marks of processes at work: those that live, whoever they are, are never taken for ended ones."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from outrider_edge.releases.starts import MOST_STARTS, Starts, take_marks_off
from tests.edge.releases.device import ended_starts

_AT_WORK = """
import sys
from contextlib import ExitStack
from pathlib import Path
from outrider_edge.releases.starts import Starts
answers = ExitStack()
for _ in range(int(sys.argv[2])):
    starts = Starts(Path(sys.argv[1]))
    answers.enter_context(starts.under_way())
    answers.enter_context(starts.under_way())
print("at work", flush=True)
sys.stdin.read()
"""


@contextmanager
def at_work(folder: Path, devices: int = 1) -> Iterator["subprocess.Popen[str]"]:
    """A process in which so many devices are in the middle of two answers each."""
    command = [sys.executable, "-c", _AT_WORK, str(folder), str(devices)]
    running = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        assert running.stdout is not None and "at work" in running.stdout.readline()
        yield running
    finally:
        running.kill()
        running.communicate()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "starts"


def test_processes_count_when_they_are_gone_and_not_before(folder: Path) -> None:
    starts = Starts(folder)
    with ExitStack() as running:
        killed = [running.enter_context(at_work(folder)) for _ in range(MOST_STARTS)]
        for process in killed:
            assert not starts.too_many
            process.kill()
            process.wait()
        assert starts.too_many
    starts.forget()
    assert not starts.too_many


def test_a_process_counts_once_however_much_it_did(folder: Path) -> None:
    with at_work(folder, devices=MOST_STARTS) as process:
        process.kill()
        process.wait()
    assert len(list(folder.iterdir())) == MOST_STARTS
    assert not Starts(folder).too_many


def test_the_mark_stays_until_the_last_answer_has_ended(folder: Path) -> None:
    starts = Starts(folder)
    with starts.under_way():
        with starts.under_way():
            pass
        assert len(list(folder.iterdir())) == 1
    assert not list(folder.iterdir())


def test_what_goes_on_counts_for_the_next_trial_too(folder: Path) -> None:
    """The first one's marks are forgotten while answers overlap."""
    starts = Starts(folder)
    with starts.under_way():
        Starts(folder).forget()
        with starts.under_way():
            assert len(list(folder.iterdir())) == 1
    assert not list(folder.iterdir())


def test_ends_under_ones_eyes_are_no_deaths(folder: Path) -> None:
    """A mark may go between the moment that it is found and the moment that it is looked at."""
    ended_starts(folder, MOST_STARTS - 1)
    done = threading.Event()

    def answers() -> None:
        starts = Starts(folder)
        while not done.is_set():
            with starts.under_way():
                pass

    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(answers)
        found = [Starts(folder).too_many for _ in range(5_000)]
        done.set()
        busy.result()
    assert not any(found)


def test_a_mark_that_nobody_held_yet_says_nothing(folder: Path) -> None:
    """A process may end, or another look, between making it and holding it."""
    folder.mkdir()
    for number in range(MOST_STARTS):
        (folder / str(number)).touch()
    assert not Starts(folder).too_many
    ended_starts(folder, MOST_STARTS)
    assert Starts(folder).too_many


def test_where_no_mark_can_be_left_work_goes_on(tmp_path: Path) -> None:
    (tmp_path / "starts").write_text("no folder")
    starts = Starts(tmp_path / "starts")
    with starts.under_way():
        assert not starts.too_many


def test_a_process_that_is_told_to_end_takes_its_marks_off(folder: Path) -> None:
    with Starts(folder).under_way(), Starts(folder).under_way():
        assert len(list(folder.iterdir())) == 2
        take_marks_off()
        assert not list(folder.iterdir())
