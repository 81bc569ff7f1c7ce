"""The noise is what docs/noise.md says, to the bit, and random enough."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outrider_protos import noise
from tests.protos import literal

VECTORS = json.loads((Path(__file__).parent / "noise_vectors.json").read_text())
PAGE = (Path(__file__).parents[2] / "docs" / "noise.md").read_text(encoding="utf-8")

seeds = st.integers(0, (1 << 64) - 1)
indices = st.integers(0, (1 << 32) - 1)
tokens = st.integers(0, (1 << 31) - 1)


@pytest.mark.parametrize("vector", VECTORS)
def test_published_vectors_hold_in_numpy_and_in_plain_integers(vector: dict[str, str]) -> None:
    seed, index, token = int(vector["seed"]), int(vector["index"]), int(vector["token"])
    key = noise.keys(seed, index)
    assert f"{literal.noise_key(seed, index):016x}" == vector["key"] == f"{key[0]:016x}"
    assert f"{literal.noise_hash(seed, index, token):08x}" == vector["hash"]
    assert f"{noise.hashes(key, token)[0]:08x}" == vector["hash"]
    published = float.fromhex(vector["gumbel"])
    assert noise.gumbel(seed, index, token)[0] == pytest.approx(published, rel=0, abs=4e-15)
    assert literal.noise_gumbel(seed, index, token) == pytest.approx(published, rel=0, abs=4e-15)


def test_the_vectors_of_the_page_are_those_of_the_file() -> None:
    known = {(vector["key"], vector["hash"], vector["gumbel"]) for vector in VECTORS}
    rows = [line.split("|")[4:7] for line in PAGE.splitlines() if "`0x" in line or "`-0x" in line]
    listed = {(key.strip(" `"), hash_.strip(" `"), g.split("`")[1]) for key, hash_, g in rows}
    assert len(listed) == 6
    assert listed <= known


@given(seeds, indices, st.lists(tokens, min_size=1, max_size=20))
def test_any_hash_equals_the_plain_integer_one(seed: int, index: int, ids: list[int]) -> None:
    expected = [literal.noise_hash(seed, index, token) for token in ids]
    assert noise.hashes(noise.keys(seed, index), ids).tolist() == expected


def test_tokens_and_indices_broadcast() -> None:
    grid = noise.gumbel(5, np.arange(3)[:, None], np.arange(4)[None, :])
    single = [[noise.gumbel(5, i, t)[0] for t in range(4)] for i in range(3)]
    assert grid.tolist() == single


def test_inputs_are_left_as_they_are() -> None:
    ids = np.arange(5, dtype=np.uint64)
    noise.gumbel(1, ids, ids)
    noise.gumbel_of(ids)
    assert ids.tolist() == [0, 1, 2, 3, 4]


def test_extreme_hashes_stay_finite_and_below_the_bound() -> None:
    lowest, highest = noise.gumbel_of(np.array([0, (1 << 32) - 1], dtype=np.uint64))
    assert lowest == pytest.approx(-math.log(math.log(2**32 + 1)), abs=1e-12)
    assert highest == pytest.approx(22.180709777801834, abs=4e-15)
    assert highest < noise.MAX_GUMBEL == pytest.approx(math.log(2**32 + 1), abs=1e-14)


@given(st.integers(0, (1 << 32) - 1))
def test_no_hash_below_the_least_reaches_its_variate(value: int) -> None:
    variate = float(noise.gumbel_of(np.array([value], dtype=np.uint64))[0])
    assert value - 1000 <= noise.least_hash(variate) <= value


@pytest.mark.parametrize("variate", [-1e9, -4.0, 0.0, 22.2, 1e9])
def test_the_least_hash_exists_for_any_variate(variate: float) -> None:
    assert 0 <= noise.least_hash(variate) < 1 << 32 or variate > noise.MAX_GUMBEL


def _chi_square(cells: np.ndarray[tuple[int, ...], np.dtype[np.intp]]) -> float:
    """Deviation from equal counts in standard units: about normal for many cells."""
    expected = cells.sum() / cells.size
    statistic = float(((cells - expected) ** 2 / expected).sum())
    freedom = cells.size - 1
    return (statistic - freedom) / math.sqrt(2 * freedom)


@pytest.mark.parametrize("shift", [0, 8, 16, 24])
def test_every_byte_of_the_hash_is_uniform(shift: int) -> None:
    values = noise.hashes(noise.keys(11, np.arange(64)[:, None]), np.arange(4096)[None, :])
    cells = np.bincount(((values >> np.uint64(shift)) & np.uint64(255)).ravel().astype(np.intp))
    assert cells.size == 256
    assert abs(_chi_square(cells)) < 4.5


@pytest.mark.parametrize("neighbour", ["seed", "index", "token", "seed and index"])
def test_neighbours_are_independent(neighbour: str) -> None:
    def block(seed: int, index: int, token: int) -> np.ndarray[tuple[int, ...], np.dtype[np.intp]]:
        keys = noise.keys(seed, index + np.arange(256)[:, None])
        values = noise.hashes(keys, token + np.arange(1024)[None, :])
        return (values >> np.uint64(28)).astype(np.intp).ravel()

    steps = ("seed" in neighbour, "index" in neighbour, "token" in neighbour)
    pairs = 16 * block(3, 0, 0) + block(3 + steps[0], int(steps[1]), int(steps[2]))
    assert abs(_chi_square(np.bincount(pairs, minlength=256))) < 4.5


def test_the_variates_have_the_mean_and_variance_of_a_gumbel() -> None:
    values = noise.gumbel(29, np.arange(100)[:, None], np.arange(10_000)[None, :])
    assert values.mean() == pytest.approx(0.5772156649, abs=0.006)
    assert values.var() == pytest.approx(math.pi**2 / 6, abs=0.015)
