"""A request on its way through the batcher."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from predictor.batching.admission import Permit
from predictor.batching.feature_queue import Entry
from predictor.errors import DeadlineExceeded
from predictor.types import Feature, Logits, Question, Result, SpanParameters, Timings


class Job:
    """What one request has come to; the batcher's lock guards it.

    Attributes:
        characters: Of all its texts.
        permit: What it takes of the bounds on what waits.
        settled: Whether it is answered, refused or abandoned.
        timings: Seconds per stage; its own runs count whole, whoever else was in them.
    """

    def __init__(
        self,
        questions: tuple[Question, ...],
        parameters: SpanParameters,
        timeout: float | None,
        characters: int,
        permit: Permit,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """Takes an admitted request, and the loop on which its caller waits."""
        self.questions = questions
        self.parameters = parameters
        self.timeout = timeout
        self.submitted = time.perf_counter()
        self.future: asyncio.Future[tuple[list[Result], Timings]] = loop.create_future()
        self.characters = characters
        self.permit = permit
        self.features: list[Feature] = []
        self.entries: list[Entry[Job]] = []
        self.settled = False
        self.timings = Timings()
        self._loop = loop
        self._logits: dict[int, Logits] = {}

    def late(self, now: float) -> bool:
        """Whether its timeout has passed, at a time of perf_counter."""
        return self.timeout is not None and now - self.submitted > self.timeout

    def too_late(self) -> DeadlineExceeded:
        """The refusal of a late request."""
        waited = time.perf_counter() - self.submitted
        return DeadlineExceeded(f"the request waited {waited * 1e3:.0f} ms for its turn")

    def tokenized(self, features: list[Feature], entries: list[Entry[Job]]) -> None:
        """Notes the features and their places in the queue."""
        self.features = features
        self.entries = entries

    def ran(self, position: int, logits: Logits) -> None:
        """Notes a feature's logits."""
        self._logits[position] = logits

    @property
    def has_run(self) -> bool:
        """Whether it is tokenized, and the logits of all features are there."""
        return bool(self.features) and len(self._logits) == len(self.features)

    def collected(self) -> Sequence[Logits]:
        """The logits of all features, in order."""
        return [self._logits[position] for position in range(len(self.features))]

    def resolve(self, results: list[Result] | None, error: Exception | None) -> None:
        """Tells the caller, from any thread."""
        spent = time.perf_counter() - self.submitted
        timings = self.timings
        timings.queue = max(0.0, spent - timings.tokenize - timings.run - timings.extract)
        if results is not None or error is not None:
            self._loop.call_soon_threadsafe(self._resolve, results, error)

    def _resolve(self, results: list[Result] | None, error: Exception | None) -> None:
        if self.future.done():
            return
        if error is not None:
            self.future.set_exception(error)
        elif results is not None:
            self.future.set_result((results, self.timings))
