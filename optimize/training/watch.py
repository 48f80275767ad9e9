"""What a log says of a training that runs: losses, speed, when it will be done, what went wrong."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import torch

from optimize.errors import SourceError

logger = logging.getLogger("optimize")

_LOG_SECONDS = 30.0
# A GPU that is asked for a number at every step waits for its orders in between.
_STEPS_UNSEEN = 20


class Watch:
    """Adds up what steps found, on the device that found it."""

    def __init__(self, first: int, steps: int) -> None:
        """Begins with the clock.

        Args:
            first: Steps that were done before.
            steps: Of the whole training.
        """
        self._first = first
        self._steps = steps
        self._started = self._said = time.monotonic()
        self._tokens = 0
        self._names: tuple[str, ...] = ()
        self._sums = torch.zeros(())
        self._added = 0

    def add(
        self, done: int, found: Mapping[str, torch.Tensor], tokens: int, more: Callable[[], str]
    ) -> None:
        """Adds a step; says something, and what `more` adds, where it is time to.

        Args:
            done: How many steps are done.
            found: Scalars by name, the same names every time.
            tokens: Without padding.
            more: Called where something is said.

        Raises:
            SourceError: Something found is not a finite number.
        """
        values = torch.stack([value.detach().float() for value in found.values()])
        self._names = tuple(found)
        self._sums = self._sums + values if self._added else values
        self._added += 1
        self._tokens += tokens
        if values.device.type == "cpu" or done % _STEPS_UNSEEN == 0:
            self.check(done)
        now = time.monotonic()
        if now - self._said >= _LOG_SECONDS or done == self._steps:
            self.check(done)
            self._say(done, now, more())

    def check(self, done: int) -> None:
        """Raises SourceError where something found since the last word is not a finite number."""
        if not self._added or bool(self._sums.isfinite().all()):
            return
        name, value = next(
            (name, value)
            for name, value in zip(self._names, self._sums.tolist(), strict=True)
            if not abs(value) < float("inf")
        )
        raise SourceError(
            f"training: the {name} is {value} at step {done} of {self._steps}; try a lower "
            "--learning-rate, or --compute fp32, with other --snapshots"
        )

    def _say(self, done: int, now: float, more: str) -> None:
        elapsed = now - self._started
        left = timedelta(seconds=elapsed / (done - self._first) * (self._steps - done))
        means = (self._sums / self._added).tolist()
        text = ", ".join(
            f"{name} {mean:.4f}" for name, mean in zip(self._names, means, strict=True)
        )
        end = datetime.now().astimezone() + left
        clock = f"{end:%H:%M:%S}" if left < timedelta(hours=12) else f"{end:%Y-%m-%d %H:%M}"
        logger.info(
            "step %d of %d: %s%s; %.0f tokens/s, done at about %s",
            done, self._steps, text, more, self._tokens / elapsed, clock,
        )  # fmt: skip
        self._said, self._added = now, 0
