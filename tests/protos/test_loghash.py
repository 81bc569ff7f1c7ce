"""The log hash depends on the ids in order and on nothing else."""

import struct
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outrider_protos.loghash import LogHash

logs = st.lists(st.integers(0, (1 << 31) - 1), max_size=50)


@pytest.mark.parametrize(
    ("log", "digest"),
    [
        ([], "ff3e6c83ff5dad9068525e909bb5ffc7"),
        ([0], "52c3b0927ca542bae2f1d7b2d2a1ac69"),
        ([1, 2, 3], "040887d0326ae32c9a40f474cad82f4b"),
        ([2**31 - 1, 256, 151935], "d96dc9dae0577b3f37ed1096e361e947"),
    ],
)
def test_published_vectors_hold(log: list[int], digest: str) -> None:
    assert LogHash(log).digest().hex() == digest


@given(logs, logs)
def test_a_log_hashes_the_same_however_it_grew(head: list[int], tail: list[int]) -> None:
    grown = LogHash(head)
    grown.digest()
    grown.append(tail)
    packed = b"".join(struct.pack("<I", token) for token in head + tail)
    expected = blake2b(packed, digest_size=16, person=b"outrider-log-v1").digest()
    assert grown.digest() == LogHash(head + tail).digest() == expected


@given(logs, logs)
def test_different_logs_differ(one: list[int], other: list[int]) -> None:
    assert (LogHash(one).digest() == LogHash(other).digest()) == (one == other)


def test_a_copy_goes_its_own_way() -> None:
    log = LogHash([1, 2])
    twin = log.copy()
    twin.append([3])
    assert log.digest() == LogHash([1, 2]).digest()
    assert twin.digest() == LogHash([1, 2, 3]).digest()
