"""The llama.cpp library itself: started once, and quiet.

llama.cpp's own messages may quote tokens, so only their origin and level are logged. This module
does not know models; whoever loads one listens here to why it was refused.
"""

import ctypes
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock

import llama_cpp

_log = logging.getLogger(__name__)
_ERROR_LEVEL = 4  # GGML_LOG_LEVEL_ERROR


class _Ear:
    """What llama.cpp's log callback does; C knows it as a plain function."""

    def __init__(self) -> None:
        self.errors: list[str] | None = None  # where the load under way collects them
        self.loading = Lock()
        self.callback = llama_cpp.llama_log_callback(self._hear)

    def _hear(self, level: int, text: bytes, _user_data: int | None) -> None:
        line = text.decode("utf-8", errors="replace").strip()
        if self.errors is not None and level == _ERROR_LEVEL:
            self.errors.append(line)
        origin = line.partition(":")[0]
        _log.debug(
            "llama.cpp spoke: origin %s, level %d",
            origin if origin.isidentifier() else "unknown",
            level,
        )


_ear = _Ear()


@cache
def start() -> None:
    """Start the backend and take over its log; later calls do nothing."""
    llama_cpp.llama_log_set(_ear.callback, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()


@cache
def reports_amx() -> bool:
    """Whether this build uses AMX, with which repacked quantised weights crash."""
    information: bytes = llama_cpp.llama_print_system_info()
    return b"AMX_INT8 = 1" in information


@contextmanager
def listening() -> Iterator[list[str]]:
    """The error lines llama.cpp utters meanwhile; other threads that listen wait."""
    with _ear.loading:
        lines: list[str] = []
        _ear.errors = lines
        try:
            yield lines
        finally:
            _ear.errors = None
