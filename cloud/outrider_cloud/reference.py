"""The target alone: what exact mode is compared with, and when a difference is a near-tie.

Plain transformers with its own attention and cache, one token after the other. It shares weights
with an engine, and nothing else; it is not meant to be fast.
"""

from collections.abc import Collection, Sequence
from itertools import cycle

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import DynamicCache

from outrider_cloud.engine import Engine, Work
from outrider_cloud.target import Target
from outrider_protos import choice
from outrider_protos.words import Sampling

_PROPOSED = (0, 1, 3, 7, 15)  # nodes a forward, when measuring
_LEAST_ERROR = 2e-6  # of one logit: a few units in the last place of float32
_SAFETY = 4.0  # how much worse than the sample an error may be


class Reference:
    """Generates with a target, without an engine."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._model = target.model

    @torch.inference_mode()
    def generate(
        self,
        log: Sequence[int],
        sampling: Sampling,
        max_length: int,
        stop_ids: Collection[int] = (),
    ) -> list[int]:
        """What the target writes after `log`, up to and with the token that ends it."""
        written = list(log)
        cache = DynamicCache(config=self._model.config)
        fed = 0
        while len(written) < min(max_length, self._target.context_tokens):
            output = self._model(
                input_ids=self._ids(written[fed:]), past_key_values=cache, logits_to_keep=1
            )
            fed = len(written)
            written.append(choice.choose(_rows(output.logits)[0], sampling, fed))
            if written[-1] in self._target.end_ids or written[-1] in stop_ids:
                break
        return written[len(log) :]

    @torch.inference_mode()
    def rows(self, log: Sequence[int]) -> NDArray[np.float32]:
        """Logits [tokens, vocabulary] after each token of `log`, computed from nothing."""
        return _rows(self._model(input_ids=self._ids(log), use_cache=False).logits)

    def gap_at(self, log: Sequence[int], sampling: Sampling) -> float:
        """How little must change for another choice after `log`: see `choice.gap`."""
        return choice.gap(self.rows(log)[-1], sampling, len(log))

    def _ids(self, tokens: Sequence[int]) -> Tensor:
        return torch.tensor([tokens], device=self._target.kv.device)


def measure_epsilon(
    engine: Engine, reference: Reference, logs: Sequence[Sequence[int]], temperature: float
) -> float:
    """Below this gap a choice of the engine may differ from the reference's by rounding alone.

    Two scores err, in opposite directions at worst, so it is twice the largest error seen in a
    log-probability, divided by the temperature, and some more for safety. `logs` are sample texts
    of two tokens or more; no session may be in the engine.
    """
    errors = [_largest_error(engine, reference, log) for log in logs]
    error = max(_LEAST_ERROR, *errors)
    return 2 * _SAFETY * error / (temperature or 1.0)


def _largest_error(engine: Engine, reference: Reference, log: Sequence[int]) -> float:
    """Feed a log in steps of different widths and compare what both say of its tokens."""
    rows = reference.rows(log)
    worst = 0.0
    past = 0
    for proposed in cycle(_PROPOSED):
        nodes = tuple(log[past + 1 : past + 1 + proposed])
        work = Work(
            session=0,
            past=past,
            prefix=(log[past],),
            nodes=nodes,
            parents=tuple(range(len(nodes))),
            logprobs=True,
        )
        (verdict,) = engine.forward([work])
        assert verdict is not None and verdict.choice_logprobs is not None
        assert verdict.node_logprobs is not None
        engine.keep(0, range(1, len(nodes) + 1))
        said = [*zip(verdict.choices, verdict.choice_logprobs, strict=True)]
        said += zip(nodes, verdict.node_logprobs, strict=True)
        places = [*range(past, past + 1 + len(nodes)), *range(past, past + len(nodes))]
        for place, (token, logprob) in zip(places, said, strict=True):
            worst = max(worst, abs(choice.log_probability(rows[place], token) - logprob))
        past += 1 + len(nodes)
        if past >= len(log):
            break
    engine.release(0)
    return worst


def _rows(logits: Tensor) -> NDArray[np.float32]:
    return logits[0].to(torch.float32).cpu().numpy()
