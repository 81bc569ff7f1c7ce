"""Reports and standings to protobuf and back, and every check that can be made without more.

Whether there is such a release is not known here.
"""

from typing import Final

from outrider_cloud.releases.fleet import Standing
from outrider_cloud.releases.report import Report, State, Tally
from outrider_protos.bounds import at_most, exactly, member, within
from outrider_protos.errors import MalformedMessage
from outrider_protos.limits import MAX_NAME_BYTES
from outrider_protos.release import MAX_RELEASE_NUMBER, is_line_name
from outrider_protos.v1 import drafts_pb2 as pb

MAX_DOMAINS: Final = 64  # of one report
_DEVICE_BYTES: Final = 16
_MOST_DIGITS: Final = 4300  # of a number, where JSON is read
_MOST_COUNTED: Final = 1 << 40  # sums over all devices still fit their fields

_STATES: Final = {
    int(pb.DRAFT_STATE_ON_TRIAL): State.ON_TRIAL,
    int(pb.DRAFT_STATE_COMMITTED): State.COMMITTED,
    int(pb.DRAFT_STATE_REVERTED): State.REVERTED,
    int(pb.DRAFT_STATE_REFUSED): State.REFUSED,
    int(pb.DRAFT_STATE_LEFT): State.LEFT,
}


def decode_known(message: pb.WatchRequest) -> str:
    """The version that a device has. Raises MalformedMessage."""
    at_most("the number of digits of known", len(message.known), _MOST_DIGITS)
    return message.known


def decode_report(message: pb.DraftReport) -> Report:
    """Raises MalformedMessage with a text for the device."""
    if not is_line_name(message.line):
        raise MalformedMessage("report.line is not the name of a line")
    at_most("the number of report.domains", len(message.domains), MAX_DOMAINS)
    domains = tuple((_domain(each.domain), _tally(each)) for each in message.domains)
    if len({name for name, _ in domains}) < len(domains):
        raise MalformedMessage("report.domains names a domain twice")
    return Report(
        device=exactly("report.device", message.device, _DEVICE_BYTES),
        line=message.line,
        release=within("report.release", message.release, 1, MAX_RELEASE_NUMBER),
        state=member("report.state", message.state, _STATES),
        domains=domains,
    )


def encode_fleet(standings: list[Standing], devices: int) -> pb.Fleet:
    return pb.Fleet(releases=[_standing(each) for each in standings], devices=devices)


def _domain(name: str) -> str:
    at_most("the bytes of a domain's name", len(name.encode()), MAX_NAME_BYTES)
    if not name.isprintable():
        raise MalformedMessage("a domain's name holds what cannot be printed")
    return name


def _tally(message: pb.DomainAcceptance) -> Tally:
    at_most("domain.answers", message.answers, _MOST_COUNTED)
    at_most("domain.positions", message.positions, _MOST_COUNTED)
    if max(message.agreed, message.agreed_before) > message.positions:
        raise MalformedMessage("domain.agreed is above domain.positions")
    return Tally(
        answers=message.answers,
        positions=message.positions,
        agreed=message.agreed,
        agreed_before=message.agreed_before,
    )


def _standing(standing: Standing) -> pb.ReleaseStanding:
    return pb.ReleaseStanding(
        line=standing.line,
        release=standing.release,
        on_trial=standing.states[State.ON_TRIAL],
        committed=standing.states[State.COMMITTED],
        reverted=standing.states[State.REVERTED],
        refused=standing.states[State.REFUSED],
        left=standing.states[State.LEFT],
        domains=[
            pb.DomainAcceptance(
                domain=name,
                answers=tally.answers,
                positions=tally.positions,
                agreed=tally.agreed,
                agreed_before=tally.agreed_before,
            )
            for name, tally in standing.domains
        ],
        halted=standing.halted,
    )
