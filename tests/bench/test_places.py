"""Processes on the cores they were given, and the script that stands for both models."""

import os
import sys

import pytest

from bench.children import child, port_of
from bench.pin import Place, where
from bench.script import Script, ScriptDraft
from bench.wire import Line, Setting
from outrider_edge.draft import Detail, Leaf
from outrider_protos.words import Sampling

SAY_CORES = "import json, os; print(json.dumps(sorted(os.sched_getaffinity(0))), flush=True)"


def test_a_command_runs_on_its_core() -> None:
    core = max(os.sched_getaffinity(0))
    command = [sys.executable, "-c", f"{SAY_CORES}; input()"]
    with child(Place(core=core), command) as (process, cores):
        assert cores == [core]
        assert where(process.pid) == f"core {core}, 1 threads"


def test_a_command_that_says_nothing_is_an_error() -> None:
    silent = child(Place(core=0), [sys.executable, "-c", ""])
    with pytest.raises(RuntimeError, match="did not start"), silent:
        pass


def test_a_script_draft_is_right_as_often_as_it_is_told() -> None:
    script = Script(length=2000)
    tokens = script.tokens()
    draft = ScriptDraft(script, 0.8, 0.0)
    draft.begin(tokens[:1], Sampling())
    leaf, right = Leaf(node=0, parent=0, token=tokens[0]), 0
    for position in range(1, 1500):
        choice = draft.expand((leaf,), Detail())[0].candidates[0].token
        right += choice == tokens[position]
        leaf = Leaf(node=position, parent=leaf.node, token=choice)
    assert 0.77 < right / 1500 < 0.83


@pytest.mark.parametrize("patience_ms", [None, 0.0])
def test_the_script_comes_through_the_loop_and_the_server(patience_ms: float | None) -> None:
    command = [sys.executable, "-m", "bench.script_cloud", "--length", "200"]
    command += ["--step-ms", "1", "--row-ms", "0"]
    with child(Place(core=0), command) as (_, said):
        line = Line(f"127.0.0.1:{port_of(said['address'])}", Script(length=200))
        try:
            spent = line.spend(Setting(acceptance=0.7, window=16, span=4, patience_ms=patience_ms))
        finally:
            line.close()
    assert 0 < spent.passes <= 1
    assert spent.both > 3  # every token travels at least once, and takes three bytes
