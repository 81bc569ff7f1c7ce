"""A target without our code: a transformers forward over a DynamicCache, and an argmax of each row.

It does not know drafts, links or sessions. One torch thread.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, DynamicCache
from transformers.utils import logging


class BareTarget:
    """One transformers folder on the CPU."""

    def __init__(self, folder: Path, dtype: str = "auto") -> None:
        torch.set_num_threads(1)
        logging.disable_progress_bar()
        self._model = AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, dtype=dtype
        ).eval()
        self._cache = DynamicCache(config=self._model.config)
        end = self._model.generation_config.eos_token_id
        self._end_ids = set(end if isinstance(end, list) else [end])

    def restart(self) -> None:
        """Forget everything."""
        self._cache = DynamicCache(config=self._model.config)

    @torch.inference_mode()
    def choose(self, tokens: Sequence[int]) -> list[int]:
        """Feed tokens after those fed before; the most likely next token after each."""
        rows = torch.tensor([list(tokens)])
        logits = self._model(rows, past_key_values=self._cache, use_cache=True).logits
        choices: list[int] = logits[0].argmax(-1).tolist()
        return choices

    def answer(self, prompt: Sequence[int], limit: int) -> list[int]:
        """The greedy continuation up to the end token, which is included, or the limit."""
        self.restart()
        tokens = [self.choose(prompt)[-1]]
        while len(tokens) < limit and tokens[-1] not in self._end_ids:
            tokens.append(self.choose(tokens[-1:])[-1])
        return tokens

    def time_replay(
        self, prompt: Sequence[int], answer: Sequence[int], rows: int
    ) -> tuple[float, list[float]]:
        """Read the prompt, then feed the answer in whole groups of `rows` tokens.

        Gives the seconds of the prompt and those of each group.
        """
        self.restart()
        begun = time.perf_counter()
        self.choose(prompt)
        prefill_s = time.perf_counter() - begun
        seconds = []
        for at in range(0, len(answer) - rows + 1, rows):
            begun = time.perf_counter()
            self.choose(answer[at : at + rows])
            seconds.append(time.perf_counter() - begun)
        return prefill_s, seconds
