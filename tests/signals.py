"""Ctrl-C for what a test starts."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def hearing_ctrl_c() -> Iterator[None]:
    """Processes that are started in this block hear SIGINT, however the tests were started.

    A shell without job control has what it starts in the background ignore that signal, and so do
    all whom that starts.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
