"""How a command begins: Ctrl-C while its modules are read, which takes seconds, ends it in silence.

It knows no commands.
"""

import signal
from importlib import import_module


def begin(module: str) -> None:
    """Run `main` of that module."""
    heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heard:  # there is nothing to be tidied up yet
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    command = import_module(module)
    if heard:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    command.main()
