"""What waits for which thread, and who is woken when something comes.

Batches of features wait for the session's thread. Requests to be tokenized or extracted wait for
whoever has time: that thread where it has nothing better to do, else a helper.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

from predictor.batching.feature_queue import Entry, FeatureQueue
from predictor.batching.job import Job
from predictor.types import Feature

# The session's thread leaves longer texts to the helpers: its next run may be due before.
_SHORT_TEXT = 20_000

Work = list[Entry[Job]] | Job
"""A batch to run, or a request whose next stage is due."""


class Schedule:
    """The work of the session's thread and of its helpers.

    `for_session`, `for_helper` and `stop` take the lock; the caller of anything else holds it.
    """

    def __init__(self, queue: FeatureQueue[Job], lock: threading.Lock) -> None:
        """Takes the features that wait, and the lock that guards them and every job."""
        self._queue = queue
        self._lock = lock
        self._fresh: deque[Job] = deque()  # to be tokenized
        self._done: deque[Job] = deque()  # to be extracted
        self._session_wake = threading.Condition(lock)
        self._helper_wake = threading.Condition(lock)
        self._idle = False
        self._stopped = False

    def submit(self, job: Job) -> None:
        """A request is to be tokenized."""
        self._fresh.append(job)
        if not self._wake_session():
            self._helper_wake.notify()

    def tokenized(self, job: Job, features: list[Feature]) -> None:
        """A request's features are to be run."""
        job.tokenized(features, self._queue.push(job, features))
        self._wake_session()

    def hand_over(self, jobs: Sequence[Job]) -> bool:
        """Leaves jobs that have run to the helpers; false where the session's thread has time."""
        busy = bool(self._queue or self._fresh)
        if busy:
            self._done.extend(jobs)
            self._helper_wake.notify(len(jobs))
        return busy

    def for_session(self) -> Work | None:
        """Waits for work of the session's thread; None once it is stopped and all is done."""
        with self._lock:
            while not (batch := self._batch()):
                if self._done:  # the helpers may be at a long text
                    return self._done.popleft()
                if self._fresh and self._fresh[0].characters <= _SHORT_TEXT:
                    return self._fresh.popleft()
                if self._fresh:
                    self._helper_wake.notify()
                elif self._stopped:
                    return None
                self._idle = True
                self._session_wake.wait()
                self._idle = False
            return batch

    def for_helper(self) -> Job | None:
        """Waits for a helper's work; None once it is stopped and nothing is left."""
        with self._lock:
            while not (self._done or self._fresh):
                if self._stopped:
                    return None
                self._helper_wake.wait()
            job = (self._done or self._fresh).popleft()
            if self._fresh:
                self._wake_session()
            return job

    def stop(self) -> None:
        """Lets every thread end that has nothing left to do."""
        with self._lock:
            self._stopped = True
            self._session_wake.notify_all()
            self._helper_wake.notify_all()

    def _wake_session(self) -> bool:
        """Whether the session's thread was idle, and is awake now."""
        was_idle, self._idle = self._idle, False
        if was_idle:
            self._session_wake.notify()
        return was_idle

    def _batch(self) -> list[Entry[Job]]:
        """The next batch, which no longer waits."""
        batch = self._queue.take()
        for entry in batch:
            entry.owner.permit.started(len(entry.feature))
        return batch
