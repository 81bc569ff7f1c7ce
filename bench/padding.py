"""A target padded with layers that change nothing, to reach other ratios of step times.

A padding layer is a copy of the first one with zeros in its two output projections: it computes
all it would compute, and adds nothing to the residual stream. It knows the Llama naming of weights.

    python -m bench.padding --target FOLDER --layers 24 --output PADDED_FOLDER
"""

import argparse
import shutil
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

_OUTPUTS = ("self_attn.o_proj.weight", "mlp.down_proj.weight")


def pad_target(source: Path, folder: Path, layers: int) -> None:
    """Write to `folder` the model in `source` with so many further layers, the tokenizer too."""
    shutil.copytree(source, folder, dirs_exist_ok=True)
    if layers == 0:
        return
    for weights in folder.glob("*.safetensors*"):
        weights.unlink()
    model = AutoModelForCausalLM.from_pretrained(source, local_files_only=True, dtype="auto")
    config = model.config
    first = config.num_hidden_layers
    config.num_hidden_layers = first + layers
    padded = type(model)(config).to(model.dtype)
    state = dict(model.state_dict())
    for index in range(first, first + layers):
        state |= _padding_layer(model.state_dict(), index)
    padded.load_state_dict(state)
    padded.save_pretrained(folder)


def _padding_layer(state: dict[str, torch.Tensor], index: int) -> dict[str, torch.Tensor]:
    layer = {}
    for name, tensor in state.items():
        if name.startswith("model.layers.0."):
            part = name.removeprefix("model.layers.0.")
            copied = torch.zeros_like(tensor) if part in _OUTPUTS else tensor.clone()
            layer[f"model.layers.{index}.{part}"] = copied
    return layer


def main() -> None:
    parser = argparse.ArgumentParser(description="A target with layers that change nothing.")
    parser.add_argument("--target", type=Path, required=True, help="a transformers folder")
    parser.add_argument("--layers", type=int, required=True, help="further ones")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    pad_target(arguments.target, arguments.output, arguments.layers)


if __name__ == "__main__":
    main()
