"""A request to stop, by SIGTERM or Ctrl-C, that waits until a step is done."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interruptible() -> Iterator[Callable[[], int]]:
    """Yields what tells which signal asked for the end, 0 for none: a step is never half done.

    A second Ctrl-C does not wait.
    """
    received = 0

    def ask(number: int, _: FrameType | None) -> None:
        nonlocal received
        if received == number == signal.SIGINT:
            raise KeyboardInterrupt
        received = number

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
