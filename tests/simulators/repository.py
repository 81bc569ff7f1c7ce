"""A signed channel with releases of any bytes: whoever serves it does not look into them."""

from pathlib import Path

from outrider_protos.release import Line, full_path, line_path
from tests.simulators.signed_channel import SignedChannel


class SimulatedRepository(SignedChannel):
    """Add to it, then `sign`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "main")

    def add_release(self, line: str, number: int, data: bytes, *others: str) -> str:
        """Its full file, and further ones of the same bytes. Gives the path of the full one."""
        for name in others:
            self.add(f"{line}/{name}", data)
        return self.add(full_path(line, number), data).relative_to(self.folder).as_posix()

    def set_line(self, name: str, line: Line) -> None:
        self.add(line_path(name), line.model_dump_json().encode())


def example_repository(folder: Path) -> SimulatedRepository:
    """A line `main` with release 1 for all and 2 for half, published."""
    repository = SimulatedRepository(folder)
    repository.add_release("main", 1, b"first draft")
    repository.add_release("main", 2, b"second draft", "2.from-1.delta", "2.adapter.gguf")
    repository.set_line("main", Line(stable=1, next=2, percent=50))
    repository.sign()
    return repository
