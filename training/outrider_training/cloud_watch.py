"""What a cloud says of its load and of its devices, for a trainer that minds both.

It decides nothing.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Final, Self, TypeVar

from grpc import StatusCode
from grpc.aio import AioRpcError

from outrider_edge.client import Address, CloudClient, Network
from outrider_edge.errors import CloudRefused, CloudUnavailable
from outrider_edge.ledger import Meter
from outrider_protos.v1 import drafts_pb2 as pb

_TIMEOUT_S: Final = 5.0
_SHOW_FLEET: Final = "/outrider.v1.DraftChannel/ShowFleet"
_T = TypeVar("_T")


class CloudWatch:
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
        report = self._asked(lambda: self._client.load(_TIMEOUT_S))
        return None if report is None else report.busy

    def halted(self, line: str) -> frozenset[int] | None:
        """Releases of a line that it gives to nobody any more; None when it does not say."""
        fleet = self._asked(self._fleet)
        if fleet is None:
            return None
        found = (each for each in fleet.releases if each.line == line)
        return frozenset(each.release for each in found if each.halted)

    def _fleet(self) -> pb.Fleet:
        """Empty where the cloud serves no releases: it halts none."""
        try:
            return self._client.ask(_SHOW_FLEET, pb.FleetRequest(), pb.Fleet, _TIMEOUT_S)
        except CloudRefused as error:
            cause = error.__cause__
            if isinstance(cause, AioRpcError) and cause.code() is StatusCode.UNIMPLEMENTED:
                return pb.Fleet()
            raise

    def _asked(self, ask: Callable[[], _T]) -> _T | None:
        try:
            answer = ask()
        except (CloudUnavailable, CloudRefused) as error:
            self.problem = str(error)
            return None
        self.problem = None
        return answer
