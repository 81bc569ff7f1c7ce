"""Run by two processes at once: three steps together, then one of them writes how they went."""

import json
import sys
from pathlib import Path

from accelerate import Accelerator

from outrider_training.distil import Distiller
from tests.training.moulds import CONFIGS, random_model
from tests.training.test_distil import REGIMEN, judged


def main() -> None:
    accelerator = Accelerator(cpu=True)
    assert accelerator.num_processes == 2
    scratch = Path(sys.argv[1])
    one = Distiller(random_model(CONFIGS["llama"], seed=1), REGIMEN, accelerator, scratch)
    updates = [one.update(judged(5)).figures() for _ in range(3)]
    if one.leads:
        (scratch / "together.json").write_text(json.dumps(updates))
    accelerator.end_training()


if __name__ == "__main__":
    main()
