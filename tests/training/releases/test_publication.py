"""What is published is what a device reads, and nothing is published without a reason."""

from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import pytest

from outrider_edge.audit import draft_choices
from outrider_edge.llama.draft import LlamaDraft
from outrider_edge.llama.gguf_header import mould_id
from outrider_edge.llama.model import Model
from outrider_edge.releases.delta import apply_delta
from outrider_protos.release import Form, FormKind, Line
from outrider_protos.words import Sampling
from outrider_training.manifest import sha256_of
from outrider_training.releases.catalogue import with_line
from outrider_training.releases.description import Wishes
from outrider_training.releases.errors import RolloutError
from outrider_training.releases.line_state import LineState
from outrider_training.releases.publication import line_state
from outrider_training.releases.repository import Change
from tests.simulators.gguf_files import TinyModel
from tests.training.releases.scene import (
    LINE,
    Scene,
    gate_report,
    learnt,
    tiny_adapter,
    tiny_draft,
)


def report_of(draft: Path) -> Path:
    return draft.with_suffix(".json")


def test_a_device_reads_what_was_published(scene: Scene, factory: Path, second: Path) -> None:
    done = scene.publish(second, report_of(second))
    assert (done.number, done.percent, list(done.sizes)) == (1, 100, ["demo/1.gguf"])
    seen = scene.reader().look()
    line = seen.line(LINE)
    assert (line.stable, line.next, line.percent) == (None, 1, 100)
    assert line.wanted(LINE, b"any device") == 1
    assert seen.file("demo/1.gguf") == second.read_bytes()
    release = seen.release(LINE, 1)
    assert release is not None
    assert release.replaces_sha256 == sha256_of(factory)
    assert release.mould == mould_id(second) == mould_id(factory)
    assert release.requirements.architecture == "llama"
    assert release.requirements.runtime == version("llama-cpp-python")
    assert release.domains == ("vietnamese",)
    assert release.gate.domains == {"": (0.7, 0.5), "vietnamese": (0.7, 0.5)}
    assert (release.gate.acceptance, release.gate.difference_low) == (0.7, 0.1)
    assert any(choice is not None for golden in release.golden for choice in golden.choices)


def test_the_next_one_comes_with_a_delta(scene: Scene, second: Path, tmp_path: Path) -> None:
    scene.publish(second, report_of(second))
    scene.roll_out(lambda state: state.promote())
    third = learnt(second, "third.gguf", 2)
    done = scene.publish(third, gate_report(tmp_path, third, second))
    assert (done.number, done.percent) == (2, 10)
    assert done.sizes["demo/2.from-1.delta"] < 0.5 * done.sizes["demo/2.gguf"]
    seen = scene.reader().look()
    release = seen.release(LINE, 2)
    assert release is not None
    assert release.forms == ("demo/2.from-1.delta",)
    form = Form.parse(seen.custom("demo/2.from-1.delta"))
    assert (form.kind, form.base_sha256) == (FormKind.DELTA, sha256_of(second))
    delta = tmp_path / "fetched.delta"
    delta.write_bytes(seen.file("demo/2.from-1.delta") or b"")
    apply_delta(second, delta, tmp_path / "made.gguf")
    assert (tmp_path / "made.gguf").read_bytes() == third.read_bytes()


def test_a_device_fresh_from_the_factory_needs_a_delta_too(
    scene: Scene, factory: Path, second: Path
) -> None:
    done = scene.publish(second, report_of(second), factory=factory)
    assert list(done.sizes) == ["demo/1.from-0.delta", "demo/1.gguf"]
    form = Form.parse(scene.reader().look().custom("demo/1.from-0.delta"))
    assert form.base_sha256 == sha256_of(factory)


def test_a_file_of_another_mould_comes_whole(scene: Scene, second: Path, tmp_path: Path) -> None:
    scene.publish(second, report_of(second))
    scene.roll_out(lambda state: state.promote())
    wider = tiny_draft(tmp_path, "wider.gguf", TinyModel(context=512))
    done = scene.publish(wider, gate_report(tmp_path, wider, second))
    assert list(done.sizes) == ["demo/2.gguf"]


def test_an_adapter_comes_with_the_file_it_makes(
    scene: Scene, factory: Path, second: Path, tmp_path: Path
) -> None:
    lora = tiny_adapter(tmp_path)
    told = gate_report(tmp_path, lora, factory, base=factory)
    done = scene.publish(second, report_of(second), adapter=lora, adapter_report=told)
    assert list(done.sizes) == ["demo/1.adapter.gguf", "demo/1.gguf"]
    form = Form.parse(scene.reader().look().custom("demo/1.adapter.gguf"))
    assert (form.kind, form.base_sha256) == (FormKind.ADAPTER, sha256_of(factory))


def test_a_form_larger_than_the_file_is_left_out(
    scene: Scene, factory: Path, second: Path, tmp_path: Path
) -> None:
    lora = tiny_adapter(tmp_path, rank=second.stat().st_size // 64)
    told = gate_report(tmp_path, lora, factory, base=factory)
    done = scene.publish(second, report_of(second), adapter=lora, adapter_report=told)
    assert list(done.sizes) == ["demo/1.gguf"]


def test_what_the_publisher_says_goes_before_what_is_known(scene: Scene, second: Path) -> None:
    wishes = Wishes(target_id="demo-target", runtime="0.3.20", domains=("sql", "english"))
    scene.publish(second, report_of(second), wishes=wishes)
    release = scene.reader().look().release(LINE, 1)
    assert release is not None
    assert release.requirements.target_id == "demo-target"
    assert release.requirements.runtime == "0.3.20"
    assert release.domains == ("sql", "english")


def test_golden_choices_are_what_the_draft_chooses(scene: Scene, second: Path) -> None:
    """Just as a device would find them."""
    scene.publish(second, report_of(second))
    release = scene.reader().look().release(LINE, 1)
    assert release is not None
    assert len(release.golden) >= 5
    with Model(second) as model, LlamaDraft(model) as draft:
        for golden in release.golden:
            found = draft_choices(draft, golden.tokens[:1], (*golden.tokens[1:], 0), Sampling())
            pairs = list(zip(golden.choices, found, strict=True))
            assert all(known in (None, chosen) for known, chosen in pairs)


def test_a_newer_release_takes_the_place_of_the_one_on_its_way(
    scene: Scene, second: Path, tmp_path: Path
) -> None:
    scene.publish(second, report_of(second))
    scene.roll_out(lambda state: state.promote())
    third = learnt(second, "third.gguf", 2)
    scene.publish(third, gate_report(tmp_path, third, second))
    fourth = learnt(second, "fourth.gguf", 3)
    done = scene.publish(fourth, gate_report(tmp_path, fourth, third), percent=50)
    assert done.number == 3
    seen = scene.reader().look()
    assert (seen.line(LINE).stable, seen.line(LINE).next) == (1, 3)
    assert seen.release(LINE, 2) is None


def test_a_withdrawn_number_never_comes_back(scene: Scene, second: Path, tmp_path: Path) -> None:
    device = scene.reader()
    scene.publish(second, report_of(second))
    scene.roll_out(lambda state: state.promote())
    third = learnt(second, "third.gguf", 2)
    scene.publish(third, gate_report(tmp_path, third, second))
    scene.roll_out(lambda state: state.promote())
    assert device.look().line(LINE).stable == 2
    scene.roll_out(lambda state: state.withdraw())
    seen = device.look()
    assert seen.line(LINE).stable == 1
    assert seen.release(LINE, 2) is None
    assert seen.file("demo/1.gguf") == second.read_bytes()
    fourth = learnt(second, "fourth.gguf", 3)
    assert scene.publish(fourth, gate_report(tmp_path, fourth, second)).number == 3


def test_a_file_that_was_withdrawn_comes_back_only_if_told(
    scene: Scene, factory: Path, second: Path, tmp_path: Path
) -> None:
    """Also one that was followed by others before; another line knows nothing of it."""
    third = learnt(second, "third.gguf", 2)
    reports = report_of(second), gate_report(tmp_path, third, factory)
    scene.publish(second, reports[0], percent=10)
    assert scene.publish(second, reports[0], percent=10).number == 2  # it may be offered anew
    scene.publish(third, reports[1], percent=10)
    scene.roll_out(lambda state: state.withdraw(2))
    with pytest.raises(RolloutError, match="this file was release 2, which was withdrawn"):
        scene.publish(second, reports[0])
    assert scene.publish(second, reports[0], again=True).number == 4
    assert scene.publish(second, reports[0], line="demo.vi").number == 1


def test_a_repository_that_remembers_no_files_learns_them(scene: Scene, second: Path) -> None:
    scene.publish(second, report_of(second))
    with scene.repository.changing():
        edition = scene.repository.read(scene.hands.online)
        releases = edition.roles.releases.signed
        releases.unrecognized_fields["outrider_lines"] = {LINE: {"highest": 1, "former": []}}
        scene.repository.replace(edition, Change(releases=releases), [scene.hands.online])
    scene.roll_out(LineState.withdraw)
    with pytest.raises(RolloutError, match="this file was release 1, which was withdrawn"):
        scene.publish(second, report_of(second))


def test_what_is_remembered_of_files_is_bounded(scene: Scene, second: Path) -> None:
    """By what was withdrawn, and the newest."""
    many = {sha256(bytes([number])).hexdigest(): number for number in range(1, 201)}
    line = Line(stable=199, withdrawn=(2, 5))
    state = LineState(line=line, highest=200, files=many)
    edition = scene.repository.look()
    releases, _ = with_line(edition, LINE, state, {})
    said = releases.unrecognized_fields["outrider_lines"][LINE]["files"]
    assert sorted(said.values()) == [2, 5, *range(137, 201)]


def test_lines_do_not_touch_one_another(scene: Scene, second: Path) -> None:
    scene.publish(second, report_of(second))
    scene.publish(second, report_of(second), line="demo.vi")
    scene.roll_out(lambda state: state.withdraw())
    seen = scene.reader().look()
    assert seen.line("demo").wanted("demo", b"x") is None
    assert seen.file("demo.vi/1.gguf") == second.read_bytes()
    assert [line_state(name, scene.repository).highest for name in ("demo", "demo.vi")] == [1, 1]
    with pytest.raises(RolloutError, match=r"no line 'sql'; there are: demo, demo\.vi"):
        line_state("sql", scene.repository)


def test_what_all_were_offered_is_stable_once_the_next_comes() -> None:
    """And what only some were offered is not: they go on to the next, or back."""
    everybodys = LineState().publish(100).publish(10)
    assert everybodys.line == Line(stable=1, next=2, percent=10)
    assert everybodys.publish(10).line == Line(stable=1, next=3, percent=10)
    assert everybodys.stage(100).publish(10).line == Line(stable=2, next=3, percent=10)
    held = everybodys.stage(100).hold()
    assert held.publish(10).line == Line(stable=1, next=3, percent=10, withdrawn=(2,))


def test_a_delta_is_from_what_is_stable_then(scene: Scene, factory: Path) -> None:
    """Where everybody was offered each release, the one before is what everybody has."""
    drafts = [learnt(factory, f"draft{seed}.gguf", seed) for seed in (1, 2, 3)]
    bases = [factory, *drafts]
    for number, draft in enumerate(drafts, start=1):
        report = gate_report(draft.parent, draft, bases[number - 1])
        done = scene.publish(draft, report, percent=100)
        if number > 1:
            assert f"demo/{number}.from-{number - 1}.delta" in done.sizes


def test_what_was_withdrawn_is_said_for_good() -> None:
    """So devices know it from what was merely followed by newer ones."""
    state = LineState().publish(100).publish(100).withdraw()
    assert state.line == Line(stable=1, withdrawn=(2,))
    assert state.publish(10).line.withdrawn == (2,)
    assert state.publish(10).hold().promote().withdraw().line == Line(stable=1, withdrawn=(2, 3))
    for _ in range(100):
        state = state.publish(10).withdraw()
    assert len(state.line.withdrawn) == 64
