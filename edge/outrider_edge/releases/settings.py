"""Which releases a device follows, from where, and when. A frozen value; it opens nothing."""

from dataclasses import dataclass
from pathlib import Path

from outrider_edge.client import Address
from outrider_edge.errors import BadSettings
from outrider_edge.releases.holds import Metered

CLOUD = "cloud"  # the channel that is offered by the cloud that judges
_MOST_ROOT_BYTES = 512_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """`channel` is CLOUD, an https address, or a folder."""

    channel: str
    line: str
    root: Path  # TUF root metadata: whom to trust
    folder: Path  # where installed drafts lie, of this line
    recent: int = 64  # answers kept to try drafts on; 0: none, and so no trial
    report: bool = True
    every_s: float = 3600.0  # between looks in the background; 0: none in the background
    metered: Metered = Metered.AUTO
    even_metered: bool = False
    even_on_battery: bool = False

    @property
    def recent_file(self) -> Path:
        """Where those answers are kept."""
        return self.folder / "recent.sqlite"

    def root_bytes(self) -> bytes:
        """Raises BadSettings."""
        try:
            with self.root.open("rb") as file:
                data = file.read(_MOST_ROOT_BYTES + 1)
        except OSError as error:
            raise BadSettings(f"the root metadata {self.root.name} cannot be read") from error
        if len(data) > _MOST_ROOT_BYTES:
            raise BadSettings(f"{self.root.name} is too large for root metadata")
        return data


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateSettings:
    """`factory` is the draft there is without any release."""

    following: Following
    factory: Path
    cloud: Address | None
    local_only: bool
    threads: int
