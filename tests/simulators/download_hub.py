"""A model hub that speaks the part of the Hugging Face Hub's API that fetches files.

The hub says what a file is and sends elsewhere for the bytes of large ones; the other server has
them by their digest, and must never see a token.
"""

from contextlib import ExitStack
from hashlib import sha1, sha256
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.simulators.static_web import Manners, StaticWeb


class Hub:
    """`endpoint` is for HF_ENDPOINT; `front` is asked first, `store` has the large files."""

    def __init__(self, folder: Path) -> None:
        for name in ("front", "store"):
            (folder / name).mkdir(parents=True)
        self._stack = ExitStack()
        self.front = self._stack.enter_context(StaticWeb(folder / "front"))
        self.store = self._stack.enter_context(StaticWeb(folder / "store"))
        self.endpoint = self.front.url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def publish(self, repo: str, file: str, data: bytes, *, large: bool = True) -> str:
        """Put a file into the newest revision; where its bytes come from now."""
        commit = sha1(data).hexdigest()
        places = [f"/{repo}/resolve/{revision}/{file}" for revision in ("main", commit)]
        if large:
            name = sha256(data).hexdigest()
            (self.store.folder / name).write_bytes(data)
            fields = {
                "X-Linked-Etag": f'"{name}"',
                "X-Linked-Size": str(len(data)),
                "X-Repo-Commit": commit,
                "Location": f"{self.store.url}/{name}?signature=secret",
            }
            self.front.towards |= {place: Manners(status=302, fields=fields) for place in places}
            return f"/{name}"
        blob = sha1(b"blob %d\0" % len(data) + data).hexdigest()
        said = Manners(fields={"ETag": f'W/"{blob}"', "X-Repo-Commit": commit})
        for place in places:
            path = self.front.folder / place.removeprefix("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            self.front.towards[place] = said
        return places[1]
