"""Linear layers whose weights lie as oneDNN wants them, for targets on a CPU.

Torch's own product of a few rows copies the weights into that order at every call, which takes
longer than the product; and its sums depend on how many rows there are. These do neither: a row
gets the same bits alone and among others. It knows no model family.
"""

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

# How far sums of 32 products around 1 may be off; a float32 done in fewer bits would show.
_TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 0.2}


class PackedLinear(nn.Module):
    """Takes the place of `linear`. Its weights are reordered at the first call.

    By then whoever loaded the model may have let go of it, so that both orders never have to be in
    memory for more than one layer at a time.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self._plain: Tensor | None = linear.weight
        self._bias = linear.bias
        self._packed: Tensor | None = None

    def forward(self, rows: Tensor) -> Tensor:
        """Rows [..., in] to [..., out]."""
        if self._packed is None:
            assert self._plain is not None
            self._packed = _pack(self._plain)
            self._plain = None
        if rows.shape[:-1].numel() != 1:
            return _product(rows, self._packed, self._bias)
        # oneDNN has a kernel of its own for one row, whose sums over wide rows are others.
        pair = rows.reshape(1, -1).expand(2, -1).contiguous()
        return _product(pair, self._packed, self._bias)[0].reshape(*rows.shape[:-1], -1)


def pack_linears(model: nn.Module) -> None:
    """Replace every linear layer of a model on a CPU, if this torch can and gets it right."""
    plain = [
        (module, name, child)
        for module in model.modules()
        for name, child in module.named_children()
        if type(child) is nn.Linear and _suits(child.weight)
    ]
    for module, name, linear in plain:
        setattr(module, name, PackedLinear(linear))


def _suits(weight: Tensor) -> bool:
    return weight.device.type == "cpu" and weight.dtype in _TOLERANCES and _works(weight.dtype)


@cache
def _works(dtype: torch.dtype) -> bool:
    """The operators are not part of torch's public interface: try them, and look at the result."""
    random = torch.Generator().manual_seed(0)
    rows, weight, bias = (
        torch.randn(size, generator=random).to(dtype) for size in ((3, 32), (48, 32), (48,))
    )
    try:
        found = _product(rows, _pack(weight), bias)
    except (AttributeError, RuntimeError):
        return False
    expected = functional.linear(rows.float(), weight.float(), bias.float())
    return torch.allclose(found.float(), expected, atol=_TOLERANCES[dtype])


def _pack(weight: Tensor) -> Tensor:
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, None)
    return packed


def _product(rows: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(rows, packed, bias, "none", [], "")
    return product
