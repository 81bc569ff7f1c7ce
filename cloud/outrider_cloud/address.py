"""Where to listen, and whether that can be reached from other machines."""

from dataclasses import dataclass
from ipaddress import ip_address


@dataclass(frozen=True, slots=True)
class Address:
    """HOST:PORT; port 0 lets the system choose."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Raises ValueError. IPv6 hosts are written in brackets."""
        host, _, port = text.rpartition(":")
        bare = host.removeprefix("[").removesuffix("]")
        if not bare or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ValueError("is not HOST:PORT with a port from 0 to 65535")
        if ":" in bare and not host.startswith("["):
            raise ValueError("holds an IPv6 host that is not in brackets")
        return cls(bare, int(port))

    @property
    def is_loopback(self) -> bool:
        """A name other than localhost counts as the outside: where it leads may change."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"
