"""Learning a low-rank change of the matrices instead of the matrices (LoRA, by peft).

It does not know how the change is learnt.
"""

import warnings
from typing import Final

from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel

_ALPHA_PER_RANK: Final = 2


def add_lora(student: PreTrainedModel, rank: int) -> PeftModel:
    """Freeze the student and give every linear layer but the output a change of this rank.

    The student itself is changed: its trainable parameters are those of the change alone. What is
    returned merges it: `merge_and_unload` makes the student a plain model again.
    """
    config = LoraConfig(
        r=rank,
        lora_alpha=_ALPHA_PER_RANK * rank,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by an old name
        return get_peft_model(student, config)
