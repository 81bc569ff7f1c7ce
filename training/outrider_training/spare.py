"""What a cloud says of its own load, for a trainer that takes what is left. It decides nothing."""

from types import TracebackType
from typing import Final, Self

from outrider_edge.client import Address, CloudClient, Network
from outrider_edge.errors import CloudRefused, CloudUnavailable
from outrider_edge.ledger import Meter

_TIMEOUT_S: Final = 5.0


class CloudLoad:
    """A channel to one cloud. Raises BadSettings for an address that cannot be used."""

    def __init__(self, address: Address) -> None:
        self.problem: str | None = None  # why it last did not answer
        self._network = Network()
        try:
            self._client = CloudClient(self._network, address, Meter(), local_only=False)
        except BaseException:
            self._network.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()
        self._network.close()

    def busy(self) -> float | None:
        """The share of its time in which it computes; None when it does not say."""
        try:
            report = self._client.load(_TIMEOUT_S)
        except (CloudUnavailable, CloudRefused) as error:
            self.problem = str(error)
            return None
        self.problem = None
        return report.busy
