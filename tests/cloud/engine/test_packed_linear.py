"""Packed linear layers give what plain ones give, alone and among other rows alike."""

import weakref

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from outrider_cloud.transformers_engine.packed_linear import PackedLinear, pack_linears

TYPES = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


def linear(dtype: torch.dtype, *, bias: bool) -> nn.Linear:
    torch.manual_seed(1)
    return nn.Linear(64, 48, bias=bias, dtype=dtype)


def rows(count: int) -> Tensor:
    return torch.randn((1, count, 64), generator=torch.Generator().manual_seed(count))


@torch.inference_mode()
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("bias", [True, False])
@given(count=st.integers(1, 40))
def test_a_packed_layer_is_its_linear_layer(dtype: torch.dtype, bias: bool, count: int) -> None:
    plain = linear(dtype, bias=bias)
    given_rows = rows(count).to(dtype)
    assert torch.allclose(PackedLinear(plain)(given_rows), plain(given_rows), atol=TYPES[dtype])


@torch.inference_mode()
@pytest.mark.parametrize("dtype", TYPES)
@given(count=st.integers(1, 40), at=st.integers(0, 39))
def test_a_row_gets_the_same_bits_alone_and_among_others(
    dtype: torch.dtype, count: int, at: int
) -> None:
    packed = PackedLinear(linear(dtype, bias=True))
    many = rows(count).to(dtype)
    at %= count
    assert torch.equal(packed(many)[0, at], packed(many[:, at : at + 1])[0, 0])


@torch.inference_mode()
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("width", [1536, 4096])
def test_wide_rows_do_too(dtype: torch.dtype, width: int) -> None:
    torch.manual_seed(1)
    packed = PackedLinear(nn.Linear(width, 256, dtype=dtype))
    many = torch.randn((1, 9, width), generator=torch.Generator().manual_seed(0)).to(dtype)
    among = packed(many)
    for at in range(9):
        assert torch.equal(among[0, at], packed(many[:, at : at + 1])[0, 0])
        assert torch.equal(among[0, at], packed(many[0, at : at + 1])[0])


@torch.inference_mode()
def test_the_plain_weights_go_with_their_last_user() -> None:
    model = nn.Sequential(linear(torch.float32, bias=True), nn.ReLU())
    weight = weakref.ref(model[0].weight)
    pack_linears(model)
    assert isinstance(model[0], PackedLinear)
    assert weight() is not None
    model(rows(2))
    assert weight() is None


def test_what_cannot_be_packed_stays_as_it_is() -> None:
    model = nn.Sequential(linear(torch.float64, bias=True), nn.Embedding(3, 4))
    before = list(model)
    pack_linears(model)
    assert list(model) == before
