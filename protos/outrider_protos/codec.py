"""Words to protobuf and back, and every check a message can be given without its context.

Both sides use it on the other's messages, so nothing it lets through can be over a limit, out of
range, NaN or at odds with itself. What depends on the stream (gaps in node numbers, stale epochs,
ids beyond the vocabulary) is not known here.

Absent and empty are the same for lists on the wire: `()` comes back as None where None is allowed.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from outrider_protos.bounds import amount, at_most, exactly, member, within
from outrider_protos.errors import MalformedMessage, UnsupportedSetting, UnsupportedVersion
from outrider_protos.limits import (
    DIGEST_BYTES,
    MAX_APPEND_TOKENS,
    MAX_EPOCH_NODES,
    MAX_LOG_TOKENS,
    MAX_NAME_BYTES,
    MAX_PATIENCE_MS,
    MAX_PROPOSE_NODES,
    MAX_RUN_AHEAD,
    MAX_STOP_IDS,
    MAX_TOKEN_ID,
    MAX_TOP_TOKENS,
    MIN_TEMPERATURE,
    PROTOCOL_VERSION,
    SESSION_BYTES,
)
from outrider_protos.v1 import outrider_pb2 as pb
from outrider_protos.words import (
    Ack,
    Append,
    Cancel,
    Close,
    CloudWord,
    Commit,
    DeviceWord,
    Distance,
    Finish,
    FinishReason,
    GoAway,
    Open,
    Opened,
    Propose,
    Provenance,
    Rollback,
    Sampling,
    Timings,
    TopRow,
    Wants,
)

_DISTANCES = {
    Distance.SURPRISE: pb.DISTANCE_SURPRISE,
    Distance.KULLBACK_LEIBLER: pb.DISTANCE_KULLBACK_LEIBLER,
    Distance.TOTAL_VARIATION: pb.DISTANCE_TOTAL_VARIATION,
}
_REASONS = {
    FinishReason.END_TOKEN: pb.FINISH_REASON_END_TOKEN,
    FinishReason.STOP_TOKEN: pb.FINISH_REASON_STOP_TOKEN,
    FinishReason.LENGTH: pb.FINISH_REASON_LENGTH,
    FinishReason.CONTEXT: pb.FINISH_REASON_CONTEXT,
    FinishReason.CANCELLED: pb.FINISH_REASON_CANCELLED,
    FinishReason.SUPERSEDED: pb.FINISH_REASON_SUPERSEDED,
}
_DISTANCE_OF = {int(number): distance for distance, number in _DISTANCES.items()}
_REASON_OF = {int(number): reason for reason, number in _REASONS.items()}

_ROUNDING = 1e-3  # probabilities travel as float32; their sum may pass 1 by this much


def encode_device(word: DeviceWord) -> pb.DeviceMessage:
    """Raises ValueError or TypeError for values a message cannot hold: a fault of the caller."""
    message = pb.DeviceMessage()
    match word:
        case Propose():
            _write_propose(word, message.propose)
        case Ack():
            message.ack.length = word.length
        case Append():
            message.append.at = word.at
            message.append.tokens.extend(word.tokens)
        case Open():
            message.open.CopyFrom(_open_message(word))
        case Cancel():
            message.cancel.SetInParent()
        case Close():
            message.close.SetInParent()
    return message


def encode_cloud(word: CloudWord) -> pb.CloudMessage:
    """Raises ValueError or TypeError for values a message cannot hold: a fault of the caller."""
    message = pb.CloudMessage()
    match word:
        case Commit():
            _write_commit(word, message.commit)
        case Opened():
            message.opened.have = word.have
        case Finish():
            message.finish.reason = _REASONS[word.reason]
        case GoAway():
            message.go_away.retry_after_ms = word.retry_after_ms
    return message


def decode_device(message: pb.DeviceMessage) -> DeviceWord:
    """Raises MalformedMessage (or below) with a text for the device."""
    match message.WhichOneof("word"):
        case "propose":
            return _propose(message.propose)
        case "ack":
            return Ack(at_most("ack.length", message.ack.length, MAX_LOG_TOKENS))
        case "append":
            return _append(message.append)
        case "open":
            return _open(message.open)
        case "cancel":
            return Cancel()
        case "close":
            return Close()
        case _:
            raise MalformedMessage("an empty or unknown message")


def decode_cloud(message: pb.CloudMessage) -> CloudWord:
    """Raises MalformedMessage (or below)."""
    match message.WhichOneof("word"):
        case "commit":
            return _commit(message.commit)
        case "opened":
            return Opened(at_most("opened.have", message.opened.have, MAX_LOG_TOKENS))
        case "finish":
            return Finish(member("finish.reason", message.finish.reason, _REASON_OF))
        case "go_away":
            return GoAway(message.go_away.retry_after_ms)
        case _:
            raise MalformedMessage("an empty or unknown message")


def _write_propose(word: Propose, message: pb.Propose) -> None:
    # Attributes one by one cost half of what keyword arguments do.
    message.epoch = word.epoch
    message.at = word.at
    message.first_node = word.first_node
    message.tokens.extend(word.tokens)
    if word.parents is not None:
        message.parents.extend(word.parents)
    for row in word.top or ():
        message.top.add(tokens=row.tokens, probabilities=row.probabilities)


def _propose(message: pb.Propose) -> Propose:
    first_node = message.first_node
    tokens = _ids("propose.tokens", message.tokens, MAX_PROPOSE_NODES)
    if first_node < 1:
        raise MalformedMessage("propose.first_node is below 1")
    at_most("the last node of propose", first_node + len(tokens) - 1, MAX_EPOCH_NODES)
    return Propose(
        message.epoch,
        at_most("propose.at", message.at, MAX_LOG_TOKENS),
        first_node,
        tokens,
        _parents(message.parents, first_node, len(tokens)) if message.parents else None,
        _top(message.top, len(tokens)) if message.top else None,
    )


def _parents(numbers: Sequence[int], first_node: int, count: int) -> tuple[int, ...]:
    parents = tuple(numbers)
    if len(parents) != count:
        raise MalformedMessage("propose.parents and propose.tokens differ in length")
    if any(parent >= node for node, parent in enumerate(parents, first_node)):
        raise MalformedMessage("propose.parents holds a node that does not come before its child")
    return parents


def _top(rows: Sequence[pb.TopRow], count: int) -> tuple[TopRow, ...]:
    if len(rows) != count:
        raise MalformedMessage("propose.top and propose.tokens differ in length")
    return tuple(_top_row(row) for row in rows)


def _top_row(message: pb.TopRow) -> TopRow:
    tokens = _ids("propose.top.tokens", message.tokens, MAX_TOP_TOKENS)
    probabilities = tuple(message.probabilities)
    if not tokens or len(tokens) != len(probabilities):
        raise MalformedMessage("propose.top needs as many probabilities as tokens, and one or more")
    if len(set(tokens)) != len(tokens):
        raise MalformedMessage("propose.top.tokens holds a token twice")
    # The comparisons are false for NaN.
    if not (min(probabilities) >= 0 and sum(probabilities) <= 1 + _ROUNDING):
        raise MalformedMessage("propose.top.probabilities are negative or add up to more than 1")
    return TopRow(tokens, probabilities)


def _append(message: pb.Append) -> Append:
    tokens = _ids("append.tokens", message.tokens, MAX_APPEND_TOKENS)
    if not tokens:
        raise MalformedMessage("append.tokens is empty")
    at_most("the end of append", message.at + len(tokens), MAX_LOG_TOKENS)
    return Append(message.at, tokens)


def _open_message(word: Open) -> pb.Open:
    message = pb.Open(
        session=word.session,
        keep=word.keep,
        length=word.length,
        digest=word.digest,
        max_length=word.max_length,
        stop_ids=word.stop_ids,
        patience_ms=word.patience_ms,
        run_ahead=word.run_ahead,
        wants_choices=word.wants.choices,
        wants_logprobs=word.wants.logprobs,
        wants_timings=word.wants.timings,
        consent=word.consent,
        expected_tokens=word.expected_tokens,
        version=PROTOCOL_VERSION,
    )
    if word.sampling != Sampling():
        message.sampling.CopyFrom(_sampling_message(word.sampling))
    if word.rollback is not None:
        message.rollback.threshold = word.rollback.threshold
        message.rollback.distance = _DISTANCES[word.rollback.distance]
    if word.provenance is not None:
        message.provenance.CopyFrom(pb.Provenance(**asdict(word.provenance)))
    return message


def _sampling_message(word: Sampling) -> pb.Sampling:
    return pb.Sampling(
        temperature=word.temperature, top_k=word.top_k, top_p=word.top_p, seed=word.seed
    )


def _open(message: pb.Open) -> Open:
    _refuse_unbuilt(message)
    length = within("open.length", message.length, 1, MAX_LOG_TOKENS)
    return Open(
        session=exactly("open.session", message.session, SESSION_BYTES),
        keep=at_most("open.keep", message.keep, length),
        length=length,
        digest=exactly("open.digest", message.digest, DIGEST_BYTES),
        max_length=within("open.max_length", message.max_length, length, MAX_LOG_TOKENS),
        stop_ids=_ids("open.stop_ids", message.stop_ids, MAX_STOP_IDS),
        sampling=_sampling(message.sampling),
        rollback=_rollback(message.rollback) if message.HasField("rollback") else None,
        patience_ms=(
            amount("open.patience_ms", message.patience_ms, MAX_PATIENCE_MS)
            if message.HasField("patience_ms")
            else None
        ),
        run_ahead=at_most("open.run_ahead", message.run_ahead, MAX_RUN_AHEAD),
        wants=Wants(
            choices=message.wants_choices,
            logprobs=message.wants_logprobs,
            timings=message.wants_timings,
        ),
        consent=message.consent,
        expected_tokens=(
            at_most("open.expected_tokens", message.expected_tokens, MAX_LOG_TOKENS)
            if message.HasField("expected_tokens")
            else None
        ),
        provenance=_provenance(message) if message.HasField("provenance") else None,
    )


def _provenance(message: pb.Open) -> Provenance:
    """Its fields are named as ours."""
    if not message.consent:
        raise MalformedMessage("open.provenance is for answers that may be recorded")
    given = {field.name: value for field, value in message.provenance.ListFields()}
    for name, value in given.items():
        if isinstance(value, str):
            at_most(f"the bytes of provenance.{name}", len(value.encode()), MAX_NAME_BYTES)
        else:
            amount(f"provenance.{name}", value)
    return Provenance(**given)


def _refuse_unbuilt(message: pb.Open) -> None:
    if message.version != PROTOCOL_VERSION:
        raise UnsupportedVersion(f"open.version is not {PROTOCOL_VERSION}")
    for name in message.settings:
        plain = name if re.fullmatch(r"[a-z][a-z_]{0,39}", name) else "with an unreadable name"
        raise UnsupportedSetting(f"the setting {plain} is not supported")


def _sampling(message: pb.Sampling) -> Sampling:
    temperature = amount("sampling.temperature", message.temperature)
    if 0 < temperature < MIN_TEMPERATURE:
        raise MalformedMessage(f"sampling.temperature is neither 0 nor at least {MIN_TEMPERATURE}")
    top_k = message.top_k if message.HasField("top_k") else None
    top_p = message.top_p if message.HasField("top_p") else None
    if top_k is not None:
        within("sampling.top_k", top_k, 1, MAX_TOKEN_ID)
    if top_p is not None and not 0 < top_p <= 1:  # true for NaN
        raise MalformedMessage("sampling.top_p is not above 0 and at most 1")
    return Sampling(
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=message.seed,
    )


def _rollback(message: pb.Rollback) -> Rollback:
    distance = member("rollback.distance", message.distance, _DISTANCE_OF)
    threshold = amount("rollback.threshold", message.threshold)
    if distance is Distance.TOTAL_VARIATION and threshold > 1:
        raise MalformedMessage("rollback.threshold is above 1, the largest total variation")
    return Rollback(threshold=threshold, distance=distance)


def _write_commit(word: Commit, message: pb.Commit) -> None:
    message.epoch = word.epoch
    message.node = word.node
    message.tokens.extend(word.tokens)
    message.length = word.length
    for node, choice in word.choices or ():
        message.choice_nodes.append(node)
        message.choices.append(choice)
    if word.logprobs is not None:
        message.logprobs.extend(word.logprobs)
    if word.timings is not None:
        message.timings.queue_ms = word.timings.queue_ms
        message.timings.forward_ms = word.timings.forward_ms


def _commit(message: pb.Commit) -> Commit:
    return Commit(
        epoch=message.epoch,
        node=at_most("commit.node", message.node, MAX_EPOCH_NODES),
        tokens=_ids("commit.tokens", message.tokens, MAX_APPEND_TOKENS),
        length=within("commit.length", message.length, len(message.tokens), MAX_LOG_TOKENS),
        choices=_choices(message) if message.choices or message.choice_nodes else None,
        logprobs=_logprobs(message.logprobs) if message.logprobs else None,
        timings=_timings(message.timings) if message.HasField("timings") else None,
    )


def _choices(message: pb.Commit) -> tuple[tuple[int, int], ...]:
    nodes = tuple(message.choice_nodes)
    choices = _ids("commit.choices", message.choices, MAX_EPOCH_NODES + 1)
    if len(nodes) != len(choices):
        raise MalformedMessage("commit.choices and commit.choice_nodes differ in length")
    at_most("commit.choice_nodes", max(nodes), MAX_EPOCH_NODES)
    return tuple(zip(nodes, choices, strict=True))


def _logprobs(values: Sequence[float]) -> tuple[float, ...]:
    at_most("the length of commit.logprobs", len(values), MAX_APPEND_TOKENS)
    if not all(map(math.isfinite, values)):
        raise MalformedMessage("commit.logprobs holds a value that is not finite")
    return tuple(values)


def _timings(message: pb.Timings) -> Timings:
    return Timings(
        queue_ms=amount("commit.timings.queue_ms", message.queue_ms),
        forward_ms=amount("commit.timings.forward_ms", message.forward_ms),
    )


def _ids(field: str, values: Iterable[int], most: int) -> tuple[int, ...]:
    ids = tuple(values)
    if len(ids) > most:
        raise MalformedMessage(f"{field} holds more than {most} tokens")
    if ids and max(ids) > MAX_TOKEN_ID:
        raise MalformedMessage(f"{field} holds a token id above {MAX_TOKEN_ID}")
    return ids
