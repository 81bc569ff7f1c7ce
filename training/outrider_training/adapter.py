"""A learnt low-rank change as a GGUF file of its own, to be laid over the draft it was learnt on.

Both of its matrices per weight are stored in half floats, the rows of the second in llama.cpp's
order; the file names the draft it belongs to. It does not know training.
"""

from pathlib import Path
from typing import Final

import numpy as np
from gguf import GGUFType, GGUFWriter
from peft import PeftModel

from outrider_edge.llama.adapter import BASE_KEY
from outrider_edge.llama.gguf_header import file_id
from outrider_training.families import TensorNames, family_of, stored_order
from outrider_training.gguf_file import write_whole

_A, _B = ".lora_A.default.weight", ".lora_B.default.weight"
_PREFIX: Final = "base_model.model."


def write_adapter(adapted: PeftModel, base: Path, target: Path) -> int:
    """Write `target`; its size in bytes. A failure leaves an older file untouched.

    `base` is the GGUF file that the student came from. Raises ModelUnsupportedError,
    TargetUnwritableError, EdgeError.
    """
    config = adapted.get_base_model().config
    writer = GGUFWriter(None, family_of(config).name)
    writer.add_type(GGUFType.ADAPTER)
    writer.add_string("adapter.type", "lora")
    settings = adapted.peft_config["default"]
    writer.add_float32("adapter.lora.alpha", float(settings.lora_alpha))
    writer.add_string(BASE_KEY, file_id(base))
    _add_matrices(writer, adapted)
    return write_whole(writer, target)


def _add_matrices(writer: GGUFWriter, adapted: PeftModel) -> None:
    config = adapted.get_base_model().config
    names = TensorNames(config)
    for name, tensor in adapted.state_dict().items():
        for part, stored in ((_A, "lora_a"), (_B, "lora_b")):
            if name.endswith(part):
                plain = f"{name.removeprefix(_PREFIX).removesuffix(part)}.weight"
                weights = tensor.detach().float().numpy(force=True)
                if part == _B:
                    weights = stored_order(plain, tensor, config)
                half = np.ascontiguousarray(weights, np.float16)
                writer.add_tensor(f"{names.of(plain)}.{stored}", half)
