"""Progress of a build: bars on a terminal, one log line per step elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

logger = logging.getLogger("optimize")


class Progress:
    """A context manager; tasks inside it show how far they are."""

    def __init__(self) -> None:
        """Decides by stderr which kind of progress it is."""
        self._bars: Bars | None = None
        if sys.stderr.isatty():
            self._bars = Bars(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )

    def __enter__(self) -> Progress:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars:
            self._bars.stop()

    @contextmanager
    def task(self, name: str, total: int) -> Iterator[Callable[[], None]]:
        """Yields the function to call after each of `total` parts."""
        if not self._bars:
            yield lambda: None
            return
        bars = self._bars
        task = bars.add_task(name, total=total)
        yield lambda: bars.advance(task)
        bars.remove_task(task)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Logs that a step is done and how long it took."""
        started = time.monotonic()
        with self.task(name, 1):
            yield
        logger.info("%s: done in %.1f s", name, time.monotonic() - started)
