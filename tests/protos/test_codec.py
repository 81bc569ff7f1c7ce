"""Every word survives the wire, what breaks a bound does not, and frequent words are small."""

import math
import string
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from outrider_protos import limits
from outrider_protos.codec import decode_cloud, decode_device, encode_cloud, encode_device
from outrider_protos.errors import MalformedMessage, UnsupportedSetting, UnsupportedVersion
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

ids = st.integers(0, limits.MAX_TOKEN_ID)
positions = st.integers(0, limits.MAX_LOG_TOKENS)
amounts = st.floats(0, 1e6)
singles = st.floats(0, 1e6, width=32)
uint32 = st.integers(0, (1 << 32) - 1)


def _tuples(
    items: st.SearchStrategy[int], least: int, most: int
) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(items, min_size=least, max_size=most).map(tuple)


samplings = st.builds(
    Sampling,
    temperature=st.just(0.0) | st.floats(limits.MIN_TEMPERATURE, 10),
    top_k=st.none() | st.integers(1, limits.MAX_TOKEN_ID),
    top_p=st.none() | st.floats(0, 1, exclude_min=True),
    seed=st.integers(0, limits.MAX_SEED),
)
rollbacks = st.builds(Rollback, threshold=st.floats(0, 1), distance=st.sampled_from(list(Distance)))


names = st.none() | st.text(max_size=limits.MAX_NAME_BYTES // 4)
provenances = st.builds(
    Provenance, domain=names, draft=names, template=names, fallback=st.none() | amounts
)


@st.composite
def opens(draw: st.DrawFn) -> Open:
    length, consent = draw(st.integers(1, limits.MAX_LOG_TOKENS)), draw(st.booleans())
    return Open(
        session=draw(st.binary(min_size=16, max_size=16)),
        keep=draw(st.integers(0, length)),
        length=length,
        digest=draw(st.binary(min_size=16, max_size=16)),
        max_length=draw(st.integers(length, limits.MAX_LOG_TOKENS)),
        stop_ids=draw(_tuples(ids, 0, 5)),
        sampling=draw(samplings),
        rollback=draw(st.none() | rollbacks),
        patience_ms=draw(st.none() | st.floats(0, limits.MAX_PATIENCE_MS)),
        run_ahead=draw(st.integers(0, limits.MAX_RUN_AHEAD)),
        wants=draw(
            st.builds(Wants, choices=st.booleans(), logprobs=st.booleans(), timings=st.booleans())
        ),
        consent=consent,
        expected_tokens=draw(st.none() | positions),
        provenance=draw(st.none() | provenances) if consent else None,
    )


@st.composite
def proposes(draw: st.DrawFn) -> Propose:
    tokens = draw(_tuples(ids, 0, 12))
    first = draw(st.integers(1, limits.MAX_EPOCH_NODES + 1 - max(1, len(tokens))))
    parents = tuple(draw(st.integers(0, first + place - 1)) for place in range(len(tokens)))
    rows = tuple(
        TopRow(tuple(range(place, place + 3)), (0.5, 0.25, 0.125)) for place in range(len(tokens))
    )
    return Propose(
        epoch=draw(uint32),
        at=draw(positions),
        first_node=first,
        tokens=tokens,
        parents=(parents or None) if draw(st.booleans()) else None,
        top=(rows or None) if draw(st.booleans()) else None,
    )


device_words = st.one_of(
    opens(),
    st.builds(Append, st.integers(0, 1000), _tuples(ids, 1, 20)),
    proposes(),
    st.builds(Ack, positions),
    st.just(Cancel()),
    st.just(Close()),
)
pairs = st.lists(st.tuples(st.integers(0, limits.MAX_EPOCH_NODES), ids), min_size=1, max_size=4)
cloud_words = st.one_of(
    st.builds(Opened, positions),
    st.builds(
        Commit,
        epoch=uint32,
        node=st.integers(0, limits.MAX_EPOCH_NODES),
        tokens=_tuples(ids, 0, 10),
        length=st.integers(10, limits.MAX_LOG_TOKENS),
        choices=st.none() | pairs.map(tuple),
        logprobs=st.none() | st.lists(singles.map(lambda value: -value), min_size=1).map(tuple),
        timings=st.none() | st.builds(Timings, queue_ms=singles, forward_ms=singles),
    ),
    st.builds(Finish, st.sampled_from(list(FinishReason))),
    st.builds(GoAway, uint32),
)


@given(device_words)
def test_device_words_survive_the_wire(word: DeviceWord) -> None:
    data = encode_device(word).SerializeToString()
    assert decode_device(pb.DeviceMessage.FromString(data)) == word


@given(cloud_words)
def test_cloud_words_survive_the_wire(word: CloudWord) -> None:
    data = encode_cloud(word).SerializeToString()
    assert decode_cloud(pb.CloudMessage.FromString(data)) == word


@given(device_words | cloud_words, st.data())
@settings(max_examples=300)
def test_damaged_bytes_raise_nothing_but_the_two_errors(
    word: DeviceWord | CloudWord, data: st.DataObject
) -> None:
    message = encode_cloud(word) if isinstance(word, CloudWord) else encode_device(word)
    raw = bytearray(message.SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        raw.insert(data.draw(st.integers(0, len(raw))), data.draw(st.integers(0, 255)))
        del raw[data.draw(st.integers(0, len(raw) - 1))]
    assert _outcome(bytes(raw)) <= {"word", "malformed", "not protobuf"}


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_random_bytes_raise_nothing_but_the_two_errors(raw: bytes) -> None:
    assert _outcome(raw) <= {"word", "malformed", "not protobuf"}


def _outcome(raw: bytes) -> set[str]:
    def attempt(parse: Callable[[], object]) -> str:
        try:
            parse()
        except DecodeError:
            return "not protobuf"
        except MalformedMessage as error:
            assert set(str(error)) <= set(string.printable)
            assert 0 < len(str(error)) < 120
            return "malformed"
        return "word"

    return {
        attempt(lambda: decode_device(pb.DeviceMessage.FromString(raw))),
        attempt(lambda: decode_cloud(pb.CloudMessage.FromString(raw))),
    }


OPEN = Open(session=b"s" * 16, keep=4, length=9, digest=b"d" * 16, max_length=40)


def _open(**fields: object) -> pb.DeviceMessage:
    message = encode_device(OPEN)
    message.open.MergeFrom(pb.Open(**fields))  # type: ignore[arg-type]
    return message


def _told(**fields: Any) -> pb.DeviceMessage:
    return _open(consent=True, provenance=pb.Provenance(**fields))


def _rollback(threshold: float, distance: pb.Distance.ValueType) -> pb.DeviceMessage:
    return _open(rollback=pb.Rollback(threshold=threshold, distance=distance))


def _append(at: int, tokens: list[int]) -> pb.DeviceMessage:
    return pb.DeviceMessage(append=pb.Append(at=at, tokens=tokens))


def _propose(**fields: object) -> pb.DeviceMessage:
    return pb.DeviceMessage(propose=pb.Propose(**fields))  # type: ignore[arg-type]


def _top(tokens: list[int], probabilities: list[float]) -> pb.DeviceMessage:
    row = pb.TopRow(tokens=tokens, probabilities=probabilities)
    return _propose(first_node=1, tokens=[5], top=[row])


def _commit(**fields: object) -> pb.CloudMessage:
    return pb.CloudMessage(commit=pb.Commit(**fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (pb.DeviceMessage(), "empty or unknown"),
        (_open(session=b"short"), "open.session is not 16 bytes"),
        (_open(digest=b"d" * 17), "open.digest is not 16 bytes"),
        (_open(keep=10), "open.keep is above 9"),
        (_open(length=limits.MAX_LOG_TOKENS + 1), f"open.length is above {limits.MAX_LOG_TOKENS}"),
        (_open(max_length=8), "open.max_length is below 9"),
        (_open(max_length=limits.MAX_LOG_TOKENS + 1), "open.max_length is above"),
        (_open(stop_ids=range(65)), "open.stop_ids holds more than 64"),
        (_open(stop_ids=[1 << 31]), "open.stop_ids holds a token id above"),
        (_open(sampling=pb.Sampling(temperature=math.nan)), "sampling.temperature"),
        (_open(sampling=pb.Sampling(temperature=-1)), "sampling.temperature"),
        (_open(sampling=pb.Sampling(temperature=1e-7)), "neither 0 nor at least 1e-06"),
        (_open(sampling=pb.Sampling(temperature=math.inf)), "sampling.temperature"),
        (_open(sampling=pb.Sampling(top_k=0)), "sampling.top_k is below 1"),
        (_open(sampling=pb.Sampling(top_p=0)), "sampling.top_p"),
        (_open(sampling=pb.Sampling(top_p=1.1)), "sampling.top_p"),
        (_open(sampling=pb.Sampling(top_p=math.nan)), "sampling.top_p"),
        (_open(rollback=pb.Rollback(threshold=1)), "rollback.distance is missing"),
        (_rollback(math.nan, pb.DISTANCE_SURPRISE), "rollback.threshold"),
        (_rollback(-1, pb.DISTANCE_SURPRISE), "rollback.threshold"),
        (_rollback(2, pb.DISTANCE_TOTAL_VARIATION), "rollback.threshold is above 1"),
        (_open(patience_ms=math.nan), "open.patience_ms"),
        (_open(patience_ms=-1), "open.patience_ms"),
        (_open(patience_ms=1e13), "open.patience_ms is above 86400000"),
        (_open(run_ahead=limits.MAX_RUN_AHEAD + 1), "open.run_ahead is above 4096"),
        (_open(expected_tokens=limits.MAX_LOG_TOKENS + 1), "open.expected_tokens is above"),
        (_open(provenance=pb.Provenance()), "open.provenance is for answers that may be recorded"),
        (_told(domain="ü" * 33), "the bytes of provenance.domain is above 64"),
        (_told(fallback=math.nan), "provenance.fallback"),
        (_append(3, []), "append.tokens is empty"),
        (_append(0, [0] * (limits.MAX_APPEND_TOKENS + 1)), "append.tokens holds more than 65536"),
        (_append(limits.MAX_LOG_TOKENS, [1]), "the end of append is above"),
        (_append(0, [1 << 31]), "append.tokens holds a token id"),
        (_propose(tokens=[1]), "propose.first_node is below 1"),
        (_propose(first_node=1, tokens=[0] * 257), "propose.tokens holds more than 256"),
        (_propose(first_node=4096, tokens=[0, 0]), "last node of propose is above 4096"),
        (_propose(first_node=1, tokens=[1 << 31]), "propose.tokens holds a token id above"),
        (_propose(first_node=1, at=limits.MAX_LOG_TOKENS + 1), "propose.at is above"),
        (_propose(first_node=3, tokens=[1, 1], parents=[0]), "propose.parents and propose.tokens"),
        (_propose(first_node=3, parents=[0]), "propose.parents and propose.tokens"),
        (_propose(first_node=3, tokens=[1, 1], parents=[2, 4]), "does not come before its child"),
        (_propose(first_node=3, tokens=[1, 1], parents=[9, 0]), "does not come before its child"),
        (_propose(first_node=3, tokens=[1], top=[pb.TopRow()] * 2), "propose.top and propose"),
        (_top([], []), "one or more"),
        (_top([1, 2], [0.5]), "as many probabilities as tokens"),
        (_top(list(range(65)), [0.0] * 65), "propose.top.tokens holds more than 64"),
        (_top([1, 1], [0.1, 0.1]), "holds a token twice"),
        (_top([1], [math.nan]), "propose.top.probabilities"),
        (_top([1], [-0.1]), "propose.top.probabilities"),
        (_top([1, 2], [0.6, 0.5]), "propose.top.probabilities"),
        (_top([1, 2], [0.5, math.nan]), "propose.top.probabilities"),
        (pb.DeviceMessage(ack=pb.Ack(length=limits.MAX_LOG_TOKENS + 1)), "ack.length is above"),
    ],
)  # fmt: skip
def test_what_a_device_may_not_say_is_named(message: pb.DeviceMessage, text: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        decode_device(message)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (pb.CloudMessage(), "empty or unknown"),
        (pb.CloudMessage(opened=pb.Opened(have=limits.MAX_LOG_TOKENS + 1)), "opened.have is above"),
        (pb.CloudMessage(finish=pb.Finish()), "finish.reason is missing or unknown"),
        (pb.CloudMessage.FromString(b"\x1a\x02\x08\x63"), "finish.reason is missing or unknown"),
        (_commit(node=limits.MAX_EPOCH_NODES + 1), "commit.node is above 4096"),
        (_commit(tokens=[1 << 31], length=1), "commit.tokens holds a token id above"),
        (_commit(tokens=[1, 2], length=1), "commit.length is below 2"),
        (_commit(length=limits.MAX_LOG_TOKENS + 1), "commit.length is above"),
        (_commit(choices=[1]), "commit.choices and commit.choice_nodes"),
        (_commit(choice_nodes=[1]), "commit.choices and commit.choice_nodes"),
        (_commit(choices=[1], choice_nodes=[5000]), "commit.choice_nodes is above 4096"),
        (_commit(choices=[1 << 31], choice_nodes=[1]), "commit.choices holds a token id above"),
        (_commit(logprobs=[math.nan]), "commit.logprobs"),
        (_commit(timings=pb.Timings(queue_ms=math.nan)), "commit.timings.queue_ms"),
        (_commit(timings=pb.Timings(forward_ms=-1)), "commit.timings.forward_ms"),
    ],
)  # fmt: skip
def test_what_a_cloud_may_not_say_is_named(message: pb.CloudMessage, text: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        decode_cloud(message)
    assert text in str(caught.value)


def test_another_version_is_refused_as_such() -> None:
    with pytest.raises(UnsupportedVersion, match=r"open\.version is not 1"):
        decode_device(_open(version=2))


@pytest.mark.parametrize(
    ("name", "shown"), [("penalties", "penalties"), ("Ünreadable\n", "with an unreadable name")]
)
def test_settings_that_are_not_built_are_refused_by_name(name: str, shown: str) -> None:
    with pytest.raises(UnsupportedSetting, match=f"^the setting {shown} is not supported$"):
        decode_device(_open(settings=[name]))


def test_an_open_without_sampling_is_greedy() -> None:
    assert not encode_device(OPEN).open.HasField("sampling")
    assert decode_device(encode_device(OPEN)) == OPEN


@pytest.mark.parametrize(
    ("word", "size"),
    [
        (Propose(3, 700, 1, tuple(range(1000, 1016))), 43),
        (Propose(3, 700, 17, (1000,)), 13),
        (Propose(3, 700, 17, (150_000,)), 14),
        (Commit(epoch=3, node=9, tokens=(1200,), length=710), 13),
        (Ack(710), 5),
    ],
)
def test_frequent_words_are_small(word: DeviceWord | CloudWord, size: int) -> None:
    """In bytes; ids up to 16,383 take two, those above three."""
    message = encode_cloud(word) if isinstance(word, CloudWord) else encode_device(word)
    assert len(message.SerializeToString()) == size
