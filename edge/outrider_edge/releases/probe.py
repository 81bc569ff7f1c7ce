"""Trying drafts where nothing can break: a process of its own, with limits of time.

It asks and reads; what the findings mean is for others to say.
"""

import json
import math
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from outrider_edge.errors import DraftError, ProbeInterrupted
from outrider_protos.words import Sampling

_START_S: Final = 600  # of a processor
_TOKEN_S: Final = 0.25  # slower than this no draft is of use
_WALL: Final = 6  # times that: nothing but this machine is to blame for more
# SIGKILL comes from the system, where memory is short, and from people.
_TOLD_TO_END: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
_MODULE: Final = "outrider_edge.releases.probe_process"

Files = tuple[Path, Path | None]  # a draft: its file, and the adapter over it


@dataclass(frozen=True, slots=True)
class Text:
    """What drafts are tried along."""

    prompt: tuple[int, ...]
    tokens: tuple[int, ...]
    sampling: Sampling = Sampling()


class Tried(BaseModel):
    """One draft: its choices along each text, None where it broke down."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    choices: tuple[tuple[int, ...] | None, ...]
    step_s: Annotated[
        FiniteFloat, Field(ge=0)
    ]  # of the processor, for a token; 0: too short to tell


class Findings(BaseModel):
    """What the process found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    drafts: tuple[Tried, ...] = ()
    batches: tuple[int, ...] = ()
    error: str | None = None


def probe(
    drafts: Sequence[Files],
    texts: Sequence[Text],
    batches: Sequence[tuple[int, ...]] = (),
    threads: int = 1,
) -> Findings:
    """Every draft along every text, the first one over the batches besides.

    Raises DraftError if the first draft cannot be loaded, ends the process, or computes for ever;
    ProbeInterrupted if the process cannot begin, is told to end, or is not let compute.
    """
    tokens = sum(len(text.prompt) + len(text.tokens) for text in texts) * len(drafts)
    limit_s = (_START_S + math.ceil(_TOKEN_S * tokens)) * threads
    job = {
        "drafts": [{"file": str(f), "adapter": a and str(a)} for f, a in drafts],
        "texts": [asdict(text) for text in texts],
        "batches": batches,
        "threads": threads,
        "limit_s": limit_s,
    }
    try:
        ended = _run(json.dumps(job), _WALL * limit_s / threads)
    except subprocess.TimeoutExpired as error:
        text = f"the process that tries drafts had no time to compute in {error.timeout:g} s"
        raise ProbeInterrupted(text) from error
    except OSError as error:
        problem = error.strerror or str(error)
        raise ProbeInterrupted(f"no process can be started to try drafts: {problem}") from error
    own = -ended.returncode == signal.SIGXCPU and _may_use(limit_s)
    if -ended.returncode in (*_TOLD_TO_END, signal.SIGXCPU) and not own:
        raise ProbeInterrupted(
            f"the process that tries drafts was ended from outside ({_how(ended.returncode)})"
        )
    if own:
        raise DraftError(f"the draft was not done after {limit_s} s of a processor")
    if ended.returncode != 0:
        raise DraftError(f"the draft ended the process that tried it ({_how(ended.returncode)})")
    try:
        found = Findings.model_validate_json(ended.stdout)
    except ValidationError as error:
        raise DraftError("the process that tried the draft said nothing sensible") from error
    if found.error is not None:
        raise DraftError(found.error)
    return found


def _may_use(processor_s: int) -> bool:
    """Whether nobody else limits the time of what this process begins to less."""
    soft_s, _ = resource.getrlimit(resource.RLIMIT_CPU)
    return soft_s == resource.RLIM_INFINITY or soft_s >= processor_s


def _run(job: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
    """It ends with this process, however that ends: then nobody holds the line any more."""
    line, held = os.pipe()
    try:
        return subprocess.run(
            [sys.executable, "-P", "-m", _MODULE, str(line)],  # nothing of the current folder
            input=job,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            pass_fds=(line,),
            start_new_session=True,  # Ctrl-C in a chat is not meant for it
        )
    finally:
        os.close(line)
        os.close(held)


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
