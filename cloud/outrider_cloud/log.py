"""The log: lines of key=value on stderr, one an event. Prompts, tokens and secrets never reach it.

Errors are logged by type and place, not by what they say: their text may quote what was processed.
"""

import logging
import sys
from pathlib import Path


def configure() -> None:
    """For a process of our own; a program that embeds the server keeps its own logging."""
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="time=%(asctime)s level=%(levelname)s logger=%(name)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )
    for chatty in ("httpx", "transformers", "huggingface_hub"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # What goes wrong in a call is logged once, at our own border and without contents.
    logging.getLogger("grpc").setLevel(logging.CRITICAL)


def place(error: BaseException) -> str:
    """Where an error was raised, as file:line."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "unknown"
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
