"""Folders of keys that cannot be written: what would have to be, nothing is done without."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from outrider_training.releases import ceremony
from outrider_training.releases.errors import KeyUnusableError
from outrider_training.releases.key_folder import KeyFolder
from tests.training.releases.scene import Scene

_NOBODY = 65534  # by convention


@pytest.fixture
def open_to_all() -> Iterator[Scene]:
    """Where somebody without rights may come, too."""
    with TemporaryDirectory() as folder:
        yield Scene(Path(folder)).begin()


@contextmanager
def unwritable(scene: Scene, folder: KeyFolder) -> Iterator[None]:
    """This one alone, also for root: it is somebody else meanwhile, who owns all there is."""
    folder.path.chmod(0o500)
    is_root = os.geteuid() == 0
    if is_root:
        for place in (scene.folder, *scene.folder.rglob("*")):
            os.chown(place, _NOBODY, -1)
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        folder.path.chmod(0o700)


ACTS: dict[str, Callable[[Scene, str], object]] = {
    "rotate online": lambda scene, _: ceremony.rotate_online(scene.repository, scene.hands),
    "rotate offline": lambda scene, key: ceremony.rotate_offline(
        scene.repository, scene.hands, key
    ),
    "revoke": lambda scene, key: ceremony.revoke_offline(scene.repository, scene.hands, key),
    "renew": lambda scene, _: ceremony.renew(scene.repository, *scene.hands.both[::-1]),
}


@pytest.mark.parametrize(
    ("act", "kind"),
    [(act, "online") for act in ACTS] + [("rotate offline", "offline"), ("revoke", "offline")],
)
def test_nothing_is_changed_where_a_key_folder_cannot_be(
    open_to_all: Scene, act: str, kind: str
) -> None:
    """Else what is believed by now could not be kept, and old keys would stay."""
    scene = open_to_all
    key = scene.hands.offline.signers()[0].public_key.keyid
    folder: KeyFolder = getattr(scene.hands, kind)
    before = {path: path.read_bytes() for path in scene.folder.rglob("*") if path.is_file()}
    with (
        unwritable(scene, folder),
        pytest.raises(KeyUnusableError, match=f"{kind}: Permission denied"),
    ):
        ACTS[act](scene, key)
    now = {path: path.read_bytes() for path in scene.folder.rglob("*") if path.is_file()}
    assert now == before


@pytest.mark.parametrize("act", ["rotate online", "renew"])
def test_offline_keys_that_stay_may_lie_where_nothing_is_written(
    open_to_all: Scene, act: str
) -> None:
    with unwritable(open_to_all, open_to_all.hands.offline):
        ACTS[act](open_to_all, "")
    open_to_all.reader().look()
