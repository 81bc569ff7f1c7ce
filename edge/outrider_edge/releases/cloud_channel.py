"""A release channel behind a cloud: its files, its news, and a word back. It knows no gRPC."""

from collections.abc import Iterator, Mapping
from typing import Final

from outrider_edge.client import CloudClient
from outrider_edge.errors import ProtocolError
from outrider_edge.releases.examination import Compared
from outrider_edge.releases.report import Fate, Word
from outrider_edge.releases.source import Pace
from outrider_protos.v1 import drafts_pb2 as pb

_SERVICE: Final = "/outrider.v1.DraftChannel"
_FETCH_TIMEOUT_S: Final = 3600.0
_REPORT_TIMEOUT_S: Final = 10.0
_MOST_DOMAINS: Final = 64


_STATES: Final[Mapping[Fate, pb.DraftState.ValueType]] = {
    Fate.ON_TRIAL: pb.DRAFT_STATE_ON_TRIAL,
    Fate.COMMITTED: pb.DRAFT_STATE_COMMITTED,
    Fate.REVERTED: pb.DRAFT_STATE_REVERTED,
    Fate.REFUSED: pb.DRAFT_STATE_REFUSED,
    Fate.LEFT: pb.DRAFT_STATE_LEFT,
}


class CloudChannel:
    """A `Source`, and more. Raises what the client raises, and ProtocolError."""

    def __init__(self, client: CloudClient, pace: Pace = Pace()) -> None:
        self._client, self._pace = client, pace

    def read(self, path: str, first: int = 0, count: int | None = None) -> Iterator[bytes]:
        """See `Source`."""
        request = pb.FetchRequest(path=path, first=first, count=count)
        pieces = self._client.read(f"{_SERVICE}/Fetch", request, pb.Piece, _FETCH_TIMEOUT_S)
        return self._pace.watch((piece.data for piece in pieces), "the cloud")

    def news(self, known: int) -> Iterator[int]:
        """Versions of what is offered, as they come; it waits for ever."""
        request = pb.WatchRequest(known=str(known))
        for news in self._client.read(f"{_SERVICE}/Watch", request, pb.News, None):
            yield _number(news.version)

    def report(self, word: Word) -> None:
        """Tell the cloud."""
        report = pb.DraftReport(
            device=bytes.fromhex(word.device),
            line=word.line,
            release=word.release,
            state=_STATES[word.fate],
            domains=_by_domain(word.pairs),
        )
        self._client.ask(f"{_SERVICE}/Report", report, pb.ReportReceipt, _REPORT_TIMEOUT_S)


def _number(version: str) -> int:
    try:
        return int(version)
    except ValueError as error:
        raise ProtocolError("the cloud tells of a version that is no number") from error


def _by_domain(pairs: tuple[Compared, ...]) -> list[pb.DomainAcceptance]:
    summed: dict[str, pb.DomainAcceptance] = {}
    for pair in pairs:
        if pair.domain not in summed and len(summed) == _MOST_DOMAINS:
            continue
        total = summed.setdefault(pair.domain, pb.DomainAcceptance(domain=pair.domain))
        total.answers += pair.answers
        total.positions += pair.positions
        total.agreed += pair.new
        total.agreed_before += pair.old
    return list(summed.values())
