"""One offline run over records, as the benches of learning all make it. It judges nothing."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from accelerate import Accelerator
from transformers import PreTrainedModel

from outrider_cloud.records.record import Record
from outrider_training.course import Course, Plan
from outrider_training.distil import Distiller
from outrider_training.examples import Example, Weighting
from outrider_training.regimen import Regimen
from outrider_training.sampling import Sampler


def taught(
    student: PreTrainedModel,
    records: Sequence[Record],
    plan: Plan,
    regimen: Regimen,
    sampler: Sampler | None = None,
) -> float:
    """Change the student, all positions counting; the seconds it took."""
    examples = [Example.of(record, Weighting()) for record in records]
    with tempfile.TemporaryDirectory() as folder:
        began_s = time.perf_counter()
        distiller = Distiller(student, regimen, Accelerator(), Path(folder))
        Course(plan, distiller, examples, Path(folder), sampler).run(lambda update: None)
        return time.perf_counter() - began_s


def plan_of(steps: int, examples_per_step: int, seed: int) -> Plan:
    """Without a checkpoint before the end."""
    return Plan(steps=steps, examples_per_step=examples_per_step, checkpoint_every=steps, seed=seed)
