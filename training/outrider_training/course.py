"""An offline run: so many steps over a set of examples, with checkpoints, a log and an end.

Which examples a step sees follows from the seed and the step's number alone, so that a run that was
cut off goes on exactly. It knows neither stores nor GGUF files.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import Final

from tensorboardX import SummaryWriter

from outrider_training.distil import Distiller, Update
from outrider_training.examples import Example
from outrider_training.prompts import prompt_digest
from outrider_training.sampling import Sampler

_CHECKPOINT: Final = "distil.checkpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long, and in what portions."""

    steps: int
    examples_per_step: int
    checkpoint_every: int = 100
    seed: int = 0

    def draw(self, examples: Sequence[Example], step: int) -> list[Example]:
        """The examples of a step; none twice unless there are too few."""
        random = Random(f"{self.seed}/{step}")  # noqa: S311 - no secret
        if len(examples) <= self.examples_per_step:
            return list(examples)
        return random.sample(examples, self.examples_per_step)


def run_id(examples: Sequence[Example], *settings: object) -> str:
    """Of a run: only one that learns the same in the same way may take up its checkpoint."""
    digest = blake2b(repr(settings).encode(), digest_size=16)
    for example in examples:
        digest.update(prompt_digest(example.prompt + example.tokens))
        digest.update(example.weights.tobytes())
    return digest.hexdigest()


class Course:
    """Runs a plan to its end, from the checkpoint in `scratch` if there is one.

    With a sampler the answers of a step are written anew, by the student as it is then. `origin`
    says what the student was: a checkpoint of another is refused.
    """

    def __init__(
        self,
        plan: Plan,
        distiller: Distiller,
        examples: Sequence[Example],
        scratch: Path,
        sampler: Sampler | None = None,
        origin: str = "",
    ) -> None:
        self._plan, self._distiller, self._examples = plan, distiller, examples
        self._checkpoint, self._log = scratch / _CHECKPOINT, scratch / "log"
        self._sampler = sampler
        self._run_id = run_id(examples, plan, origin)

    def run(self, told: Callable[[Update], None]) -> None:
        """Raises what `Distiller` does; the checkpoint then holds what was learnt until then."""
        plan, distiller = self._plan, self._distiller
        if self._checkpoint.exists():
            distiller.resume(self._checkpoint, self._run_id)
        with self._writer() as log:
            while distiller.step < plan.steps:
                update = distiller.update(self._step_examples(distiller.step))
                for name, value in update.figures().items():
                    log.add_scalar(name, value, update.step)
                told(update)
                if update.step % plan.checkpoint_every == 0:
                    distiller.save(self._checkpoint, self._run_id)
        distiller.check(self._examples[:1])
        distiller.save(self._checkpoint, self._run_id)

    def forget(self) -> None:
        """What came of it is safe elsewhere: the next run begins from its own draft."""
        if self._distiller.leads:
            self._checkpoint.unlink(missing_ok=True)

    def _writer(self) -> SummaryWriter:
        """Processes beside the main one write nothing."""
        silent = not self._distiller.leads
        step = self._distiller.step
        return SummaryWriter(str(self._log), purge_step=step, write_to_disk=not silent)

    def _step_examples(self, step: int) -> list[Example]:
        drawn = self._plan.draw(self._examples, step)
        if self._sampler is None:
            return drawn
        return self._sampler.answers(drawn, seed=self._plan.seed + step)
