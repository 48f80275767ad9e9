"""Requests → runs: one thread owns the session, the others prepare and extract around it.

A lone request is tokenized, run and extracted by the session's thread, with one hop there and one
back. Only where that thread has something better to do, helper threads tokenize what comes in and
extract what has run; meanwhile features gather, and the next run takes a batch of them. So an idle
server never waits for company, and a wait exists only while a run is in flight.

A thread that died would leave every later request without an answer. So what a request raises ends
that request alone, even a panic of a library in Rust, which is no Exception.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from predictor.batch_plan import ALONE
from predictor.batching.admission import Admission
from predictor.batching.feature_queue import Entry, FeatureQueue
from predictor.batching.job import Job
from predictor.batching.schedule import Schedule
from predictor.engine import Engine
from predictor.errors import InternalError, PredictorError, StartupError
from predictor.types import Question, Result, SpanParameters, Timings

logger = logging.getLogger(__name__)

RunObserver = Callable[[int, int, int], None]
"""Called after each run with its rows, its tokens, and its padding in tokens."""


class Batcher:
    """Answers requests through one Engine, many at a time."""

    def __init__(
        self,
        engine: Engine,
        *,
        batching: bool = True,
        max_queue_requests: int = 512,
        max_queue_tokens: int = 65536,
        helpers: int = 1,
        on_run: RunObserver = lambda rows, tokens, padding: None,
    ) -> None:
        """Starts the threads; the engine is warmed up on its own.

        Args:
            engine: A loaded engine.
            batching: Whether features share runs; otherwise each has one of its own.
            max_queue_requests: Most requests that wait for a run.
            max_queue_tokens: Most tokens that wait for a run.
            helpers: Threads beside the session's.
            on_run: Told of every run, on the session's thread.

        Raises:
            StartupError: The model does not run.
        """
        self._engine = engine
        self._on_run = on_run
        overhead = engine.session.run_overhead_tokens if batching else ALONE
        self.admission = Admission(max_queue_requests, max_queue_tokens)
        self._queue: FeatureQueue[Job] = FeatureQueue(engine.session.max_batch_tokens, overhead)
        self._lock = threading.Lock()
        self._schedule = Schedule(self._queue, self._lock)
        self._threads = [threading.Thread(target=self._session_loop, name="session", daemon=True)]
        self._threads += [
            threading.Thread(target=self._helper_loop, name=f"helper-{n}", daemon=True)
            for n in range(helpers)
        ]
        self._warm: Future[None] = Future()
        for thread in self._threads:
            thread.start()
        try:
            self._warm.result()
        except Exception as error:  # a model that does not fit its spec fails in its own way
            self.stop()
            raise StartupError(f"the model does not run: {error}") from error

    async def answer(
        self,
        questions: Sequence[Question],
        parameters: SpanParameters,
        timeout: float | None = None,
    ) -> tuple[list[Result], Timings]:
        """Answers one request; a cancelled call is dropped before it costs a run.

        Args:
            questions: At least one.
            parameters: How spans are chosen.
            timeout: Seconds within which the last of its runs must have started.

        Raises:
            NotReady: The server is shutting down.
            QueueFull: Too much waits already.
            RequestTooLarge: The request has more tokens than may ever wait.
            QuestionTooLong: A question leaves no room for its context.
            DeadlineExceeded: The timeout passed.
            InternalError: The model failed.
        """
        loop = asyncio.get_running_loop()
        characters = sum(len(q.question) + len(q.context) for q in questions)
        with self._lock:
            permit = self.admission.admit(characters)
            job = Job(tuple(questions), parameters, timeout, characters, permit, loop)
            self._schedule.submit(job)
        timer = loop.call_later(timeout, self._expire, job) if timeout is not None else None
        try:
            return await job.future
        finally:
            if timer is not None:
                timer.cancel()
            if not job.settled:  # the caller was cancelled
                self._settle(job)

    def stop(self) -> None:
        """Ends the threads once nothing is left to do; call after the last answer."""
        self._schedule.stop()
        for thread in self._threads:
            thread.join()

    def _session_loop(self) -> None:
        try:
            # Here, since what a session captures on a GPU belongs to the thread that captured it.
            self._engine.warm_up()
        except BaseException as error:
            self._warm.set_exception(error)
            return
        self._warm.set_result(None)
        while (work := self._schedule.for_session()) is not None:
            if isinstance(work, Job):
                self._advance(work)
            else:
                self._run(work)

    def _helper_loop(self) -> None:
        while (job := self._schedule.for_helper()) is not None:
            self._advance(job)

    def _advance(self, job: Job) -> None:
        """The stage of a request before its runs, or the one after them."""
        if job.has_run:
            self._extract(job)
        else:
            self._tokenize(job)

    def _tokenize(self, job: Job) -> None:
        if job.settled:
            return
        started = time.perf_counter()
        try:
            features = self._engine.prepare(job.questions, self.admission.max_tokens)
            job.timings.tokenize = time.perf_counter() - started
            with self._lock:
                if job.settled:
                    return
                job.permit.counted(sum(map(len, features)))
                self._schedule.tokenized(job, features)
        except BaseException as error:
            self._settle(job, error=error)

    def _run(self, batch: list[Entry[Job]]) -> None:
        started = time.perf_counter()
        for job in {entry.owner for entry in batch if entry.owner.late(started)}:
            self._settle(job, error=job.too_late())
        batch = [entry for entry in batch if not entry.owner.settled]
        if not batch:
            return
        features = [entry.feature for entry in batch]
        lengths = [len(feature) for feature in features]
        try:
            logits = self._engine.run_batch(features)
        except BaseException as error:
            for job in {entry.owner for entry in batch}:
                self._settle(job, error=error)
            return
        seconds = time.perf_counter() - started
        finished = []
        with self._lock:
            self.admission.ran(sum(lengths), seconds)
            for job in {entry.owner for entry in batch}:
                job.timings.run += seconds
            for entry, own in zip(batch, logits, strict=True):
                entry.owner.ran(entry.position, own)
                if entry.owner.has_run and not entry.owner.settled:
                    finished.append(entry.owner)
            if self._schedule.hand_over(finished):
                finished = []
        for job in finished:
            self._extract(job)
        self._on_run(len(lengths), sum(lengths), len(lengths) * max(lengths) - sum(lengths))

    def _extract(self, job: Job) -> None:
        started = time.perf_counter()
        try:
            results = self._engine.extract(
                job.questions, job.features, job.collected(), job.parameters
            )
            job.timings.extract = time.perf_counter() - started
            self._settle(job, results=results)
        except BaseException as error:
            self._settle(job, error=error)

    def _expire(self, job: Job) -> None:
        """On the event loop, at the deadline: refuses what has not all started to run."""
        if job.permit.waiting:
            self._settle(job, error=job.too_late())

    def _settle(
        self, job: Job, *, results: list[Result] | None = None, error: BaseException | None = None
    ) -> None:
        """Gives a job its answer or its error, or neither to one that nobody waits for."""
        with self._lock:
            if job.settled:
                return
            job.settled = True
            job.permit.released()
            self._queue.withdraw(job.entries)
        if error is not None and not isinstance(error, PredictorError):
            logger.error("a request failed unexpectedly", exc_info=error)
            error = InternalError("internal error")
        job.resolve(results, error)
