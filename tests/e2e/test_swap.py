"""Another draft takes over while a device works: speed may change, answers never do."""

import threading
from pathlib import Path

import pytest
import torch

from outrider_cloud.records.shards import Store
from outrider_edge.config import SHIPPED_DRAFT
from outrider_edge.device import Device, DeviceSettings
from outrider_edge.errors import BadModelFile, Cancelled, DraftError, ModelMismatch
from outrider_edge.options import Mode, Options
from outrider_training.adapter import write_adapter
from outrider_training.lora import add_lora
from outrider_training.mould import cast
from outrider_training.student import load_student
from tests.e2e.pair import CloudProcess, device_for, prompts
from tests.simulators.gguf_files import TinyModel, write_gguf

OPTIONS = Options(max_tokens=60)
PROMPTS = prompts("english", "python", count=3)


@pytest.fixture(scope="module")
def useless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped draft without the work of its layers: it is wrong nearly everywhere."""
    path = tmp_path_factory.mktemp("drafts") / "useless.gguf"
    student = load_student(SHIPPED_DRAFT)
    for weights in student.model.layers.parameters():
        weights.data.zero_()
    cast(student, SHIPPED_DRAFT, path)
    return path


def answers(device: Device) -> list[tuple[str, int]]:
    """Texts, and how many of their tokens the draft wrote."""
    with device.session(OPTIONS) as session:
        found = []
        for prompt in PROMPTS:
            session.messages.clear()
            result = session.ask(prompt).result()
            found.append((result.text, result.tally.by_draft))
        return found


def test_answers_stay_and_speed_follows_the_file(cloud: str, useless: Path) -> None:
    with device_for(cloud) as device:
        before = answers(device)
        device.swap_draft(useless)
        worse = answers(device)
        device.swap_draft(SHIPPED_DRAFT)
        again = answers(device)
    texts = [text for text, _ in before]
    assert [text for text, _ in worse] == texts == [text for text, _ in again]
    drafted = [sum(count for _, count in found) for found in (before, worse, again)]
    assert drafted[1] < drafted[0] / 2
    assert drafted[2] > 2 * drafted[1]


def test_sessions_under_way_move_with_their_next_answer(cloud: str, useless: Path) -> None:
    """Swapped again and again by another thread while answers are written."""
    with device_for(cloud) as device:
        calm = [text for text, _ in answers(device)]
        done = threading.Event()

        def keep_swapping() -> None:
            while not done.is_set():
                device.swap_draft(useless)
                device.swap_draft(SHIPPED_DRAFT)

        swapping = threading.Thread(target=keep_swapping)
        swapping.start()
        try:
            for _ in range(3):
                assert [text for text, _ in answers(device)] == calm
        finally:
            done.set()
            swapping.join()


def drafted(found: list[tuple[str, int]]) -> int:
    return sum(count for _, count in found)


def test_an_adapter_is_laid_on_and_taken_off_without_a_reload(
    cloud: str, noise: Path, tmp_path: Path
) -> None:
    """The base is not even there any more."""
    base = tmp_path / "draft.gguf"
    base.write_bytes(SHIPPED_DRAFT.read_bytes())
    with device_for(cloud, draft=base) as device:
        before = answers(device)
        device.adapt_draft(noise)
        worse = answers(device)
        base.unlink()
        device.adapt_draft(None)
        again = answers(device)
        device.adapt_draft(noise)
        worse_again = answers(device)
        with pytest.raises(BadModelFile, match="no LoRA adapter"):
            device.adapt_draft(SHIPPED_DRAFT)
        device.swap_draft(SHIPPED_DRAFT)
        fresh = answers(device)
    texts = [[text for text, _ in found] for found in (before, worse, again, worse_again, fresh)]
    assert all(each == texts[0] for each in texts)
    assert max(map(drafted, (worse, worse_again))) < min(map(drafted, (before, again, fresh))) / 2


def test_adapters_and_files_come_and_go_while_sessions_are_under_way(
    cloud: str, noise: Path
) -> None:
    """Several threads change the draft at once: whatever is freed, nobody needs it any more."""
    with device_for(cloud) as device:
        calm = [text for text, _ in answers(device)]
        done, failed = threading.Event(), list[BaseException]()

        def keep_changing() -> None:
            try:
                while not done.is_set():
                    device.adapt_draft(noise)
                    device.swap_draft(SHIPPED_DRAFT)
                    device.adapt_draft(None)
            except BaseException as error:  # noqa: BLE001 - told below
                failed.append(error)

        changing = [threading.Thread(target=keep_changing) for _ in range(3)]
        for thread in changing:
            thread.start()
        try:
            for _ in range(3):
                assert [text for text, _ in answers(device)] == calm
        finally:
            done.set()
            for thread in changing:
                thread.join()
        assert failed == []


def test_a_fault_in_the_drafting_thread_is_the_callers(cloud: str) -> None:
    """A path that is none, here; the thread lives on."""
    with device_for(cloud) as device:
        with pytest.raises(AttributeError):
            device.adapt_draft("not a path")  # type: ignore[arg-type]
        assert answers(device)


def test_a_device_begins_under_an_adapter_or_says_why_not(noise: Path, tmp_path: Path) -> None:
    local = Options(mode=Mode.LOCAL, max_tokens=20)
    texts = []
    for adapter in (None, noise):
        settings = DeviceSettings(draft=SHIPPED_DRAFT, adapter=adapter)
        with Device(settings) as device, device.session(local) as session:
            texts.append(session.complete(PROMPTS[0]).result().text)
    assert texts[0] != texts[1]
    with pytest.raises(BadModelFile, match="no such file"):
        Device(DeviceSettings(draft=SHIPPED_DRAFT, adapter=tmp_path / "none.gguf"))


def test_a_local_session_writes_with_the_new_file(cloud: str, useless: Path) -> None:
    with device_for(cloud) as device, device.session(Options(mode=Mode.LOCAL, max_tokens=20)) as s:
        before = s.complete(PROMPTS[0]).result().text
        device.swap_draft(useless)
        assert s.complete(PROMPTS[0]).result().text != before


def test_records_name_the_file_that_drafted(tmp_path: Path, useless: Path) -> None:
    consenting = Options(max_tokens=20, consent=True)
    with (
        CloudProcess("demo", "--records", str(tmp_path)) as process,
        device_for(process.address) as device,
        device.session(consenting) as session,
    ):
        session.complete(PROMPTS[0]).result()
        device.swap_draft(useless)
        session.complete(PROMPTS[0]).result()
        session.complete(PROMPTS[1]).result()
    store = Store(str(tmp_path))
    records = [record for path in store.paths() for record in store.read(path)]
    first, second, third = (r.versions.draft for r in sorted(records, key=lambda r: r.time_s))
    assert first != second == third


def test_what_cannot_draft_changes_nothing(cloud: str, tmp_path: Path) -> None:
    strange = write_gguf(tmp_path / "strange.gguf", TinyModel())
    (tmp_path / "half.gguf").write_bytes(SHIPPED_DRAFT.read_bytes()[:5000])
    with device_for(cloud) as device:
        before = answers(device)
        with pytest.raises(ModelMismatch, match="different vocabularies"):
            device.swap_draft(strange)
        with pytest.raises(BadModelFile):
            device.swap_draft(tmp_path / "half.gguf")
        assert [text for text, _ in answers(device)] == [text for text, _ in before]
    with pytest.raises(Cancelled):
        device.swap_draft(SHIPPED_DRAFT)


def test_alone_a_draft_that_fails_says_so(cloud: str, tmp_path: Path) -> None:
    """With a cloud it costs speed; without one there is no answer, which is no empty answer."""
    adapted = add_lora(load_student(SHIPPED_DRAFT), 2)
    with torch.no_grad():
        for name, weights in adapted.named_parameters():
            if "lora_" in name:
                weights.fill_(float("nan"))
    write_adapter(adapted, SHIPPED_DRAFT, tmp_path / "nan.gguf")
    with device_for(cloud) as device:
        expected = [text for text, _ in answers(device)]
        device.adapt_draft(tmp_path / "nan.gguf")
        assert [text for text, _ in answers(device)] == expected
        local = Options(mode=Mode.LOCAL, max_tokens=20)
        with device.session(local) as session, pytest.raises(DraftError):
            session.complete(PROMPTS[0]).result()
