"""Whether now is a bad time for a large download: on battery, or on a line paid by the byte.

It asks the operating system and decides nothing else. What cannot be known holds nothing back.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from enum import Enum
from typing import Final

import psutil

_NMCLI: Final = ("-t", "-f", "GENERAL.METERED", "device", "show")
_TIMEOUT_S: Final = 5.0


class Metered(Enum):
    """Whether the line is paid by the byte."""

    AUTO = "auto"  # ask NetworkManager, where there is one
    YES = "yes"
    NO = "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a device runs on, as far as it is known."""

    on_battery: bool
    metered: bool

    @classmethod
    def now(cls, metered: Metered) -> "Surroundings":
        """Nobody is asked what was said already."""
        asked = metered is Metered.AUTO and is_metered()
        return cls(on_battery=on_battery(), metered=asked or metered is Metered.YES)

    def hold(self, *, even_metered: bool, even_on_battery: bool) -> str | None:
        """Why updates should wait; None: they need not."""
        if self.on_battery and not even_on_battery:
            return "this machine runs on battery"
        if self.metered and not even_metered:
            return "the network is metered"
        return None


def on_battery() -> bool:
    """False where there is no battery, or nobody knows."""
    try:
        battery = psutil.sensors_battery()
    except (OSError, ValueError, AttributeError):  # no such folder, odd contents, no such system
        return False
    return battery is not None and battery.power_plugged is False


def is_metered() -> bool:
    """What NetworkManager says of any device, its guesses included."""
    nmcli = shutil.which("nmcli")
    if nmcli is None:
        return False
    english = os.environ | {"LC_ALL": "C"}  # it translates even what programs read
    try:
        said = subprocess.run(
            [nmcli, *_NMCLI],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
            env=english,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    return any(line.partition(b":")[2].startswith(b"yes") for line in said.splitlines())
