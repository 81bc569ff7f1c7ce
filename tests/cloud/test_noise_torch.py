"""The noise on tensors is the published noise, to the bit, on every device that is there."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from outrider_cloud import noise
from outrider_protos import noise as numpy_noise

VECTORS = json.loads(
    (Path(__file__).parents[1] / "protos" / "noise_vectors.json").read_text(encoding="utf-8")
)
DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
BITS_64 = (1 << 64) - 1


@pytest.mark.parametrize("device", DEVICES)
def test_the_published_vectors_hold_on_tensors(device: str) -> None:
    def column(name: str) -> torch.Tensor:
        return torch.tensor([noise.signed(int(vector[name])) for vector in VECTORS], device=device)

    keys = noise.keys(column("seed"), column("index"))
    hashes = noise.hashes(keys, column("token"))
    gumbels = noise.gumbel(keys, column("token"))
    assert [f"{key & BITS_64:016x}" for key in keys.tolist()] == [v["key"] for v in VECTORS]
    assert [f"{each:08x}" for each in hashes.tolist()] == [v["hash"] for v in VECTORS]
    published = [float.fromhex(vector["gumbel"]) for vector in VECTORS]
    assert gumbels.tolist() == pytest.approx(published, rel=0, abs=4e-15)


@given(
    seed=st.integers(0, BITS_64),
    indices=st.lists(st.integers(0, (1 << 32) - 1), min_size=1, max_size=4),
    tokens=st.lists(st.integers(0, (1 << 31) - 1), min_size=1, max_size=20),
)
def test_rows_of_tokens_get_the_hashes_that_numpy_gives_them(
    seed: int, indices: list[int], tokens: list[int]
) -> None:
    keys = noise.keys(torch.tensor(noise.signed(seed)), torch.tensor(indices))
    found = noise.hashes(keys[:, None], torch.tensor(tokens)).numpy()
    expected = numpy_noise.hashes(numpy_noise.keys(seed, indices)[:, None], tokens)
    assert np.array_equal(found.astype(np.uint64), expected)
