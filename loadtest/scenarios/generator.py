"""What sends the requests: in every process with users, one, told by the conductor what to do."""

import random
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import gevent
from gevent.lock import BoundedSemaphore
from gevent.pool import Group

from loadtest.errors import LoadTestError, TargetError, UnsentError
from loadtest.options import Options
from loadtest.phases import OPEN, PREPARE, SEQUENTIAL, Phase, lengths_of_table
from loadtest.prompts import Prompt
from loadtest.results.records import Record
from loadtest.scenarios.arrivals import poisson
from loadtest.scenarios.asking import Asker, RowAt
from loadtest.scenarios.preparation import Prepared, prepare
from loadtest.targets import Target

LOST_AFTER = 5
"""So many requests in a row without an answer, and the target is given up."""
_IDLE_SECONDS = 0.02
_AFTER_FAILURE_SECONDS = 0.1

Tell = Callable[[str, dict[str, Any]], None]
"""Tells the conductor something, under a name."""
Observe = Callable[[Target, Record], None]
"""Sees each measured request."""


class Generator:
    """Sends requests for its users and tells the conductor of them."""

    def __init__(
        self, options: Options, targets: list[Target], worker: int, tell: Tell, observe: Observe
    ) -> None:
        self._options = options
        self._targets = targets
        self._worker = worker
        self._tell = tell
        self._observe = observe
        self._prepared: dict[str, Prepared] = {}
        self._phase: Phase | None = None
        self._paused = True
        self._begun = 0.0
        self._sources = 1
        self._busy = 0
        self._told_over = -1
        self._asker = Asker(options.request_timeout)
        self._unanswered: dict[str, int] = defaultdict(int)
        self._lost: dict[str, str] = {}
        self._records: list[Record] = []
        self._sending: list[Group] = []
        self._flusher = gevent.spawn(self._flush_now_and_then)

    def begin(self, phase: Phase, sources: int) -> None:
        """Starts a phase, of which one in so many sources is this process' each user."""
        self._phase, self._sources, self._paused = phase, sources, False
        self._begun = time.perf_counter()
        if phase.kind == PREPARE:
            gevent.spawn(self._prepare, phase)

    def pause(self) -> None:
        """Ends the phase: nothing new is sent; the conductor hears when all is answered."""
        self._paused = True
        gevent.spawn(self._wait_until_idle, self._phase)

    def close(self) -> None:
        """Tells the rest and closes every connection; open channels would keep the process."""
        self._flusher.kill()
        for sending in self._sending:
            sending.kill()
        self._flush()
        self._asker.close()

    def turn(self, user: int) -> None:
        """One turn of a user: a request, or what its phase has instead of one."""
        phase = self._phase
        if phase is None or self._paused or phase.kind == PREPARE:
            gevent.sleep(_IDLE_SECONDS)
            return
        self._busy += 1
        try:
            rng = random.Random(f"{self._options.seed} {self._worker} {user} {phase.number}")
            if phase.kind == SEQUENTIAL:
                self._sequential(phase, rng)
            elif phase.kind == OPEN:
                self._open(phase, rng)
            else:
                self._closed(phase, rng)
        except Exception as error:
            # Locust would have the user try again, and again.
            for name in phase.targets:
                self._lose(name, f"given up, as the load test itself failed: {error}")
            raise
        finally:
            self._busy -= 1

    def _prepare(self, phase: Phase) -> None:
        for target in self._targets:
            try:
                prepared = prepare(target, self._options)
            except LoadTestError as error:
                self._lose(target.name, f"not measured: {error}")
            else:
                self._prepared[target.name] = prepared
                for note in prepared.notes:
                    self._tell("note", {"target": target.name, "text": note})
        self._over(phase)

    def _sequential(self, phase: Phase, rng: random.Random) -> None:
        """All targets in turn for every request, so that the machine's noise hits all alike."""
        options = self._options
        for length in lengths_of_table(options):
            for number in range(options.warmup + options.requests_per_length):
                row = f"{length} tokens" if number >= options.warmup else ""
                for name in rng.sample(phase.targets, len(phase.targets)):
                    if self._paused:
                        return
                    if name in self._lost:
                        continue
                    prompt = self._prepared[name].texts.make(length, rng)
                    gevent.sleep(options.pause)
                    record = self._ask(name, prompt, length, _always(row))
                    if record.outcome == TargetError.outcome:
                        self._lose(name, f"lost at {length} tokens: {record.message}")
        self._over(phase)
        while not self._paused:
            gevent.sleep(_IDLE_SECONDS)

    def _closed(self, phase: Phase, rng: random.Random) -> None:
        (name,) = phase.targets
        while not self._paused and self._phase is phase and name not in self._lost:
            prompt, length = rng.choice(self._prepared[name].pool)
            record = self._ask(name, prompt, length, self._rows_of(phase))
            if not record.answered:
                gevent.sleep(_AFTER_FAILURE_SECONDS)
        gevent.sleep(_IDLE_SECONDS)

    def _open(self, phase: Phase, rng: random.Random) -> None:
        """Sends each request when it is due; what must wait to be sent waits, and that counts."""
        (name,) = phase.targets
        free = BoundedSemaphore(self._options.max_in_flight)
        sending = Group()
        self._sending.append(sending)
        for offset in poisson(phase.segments, self._sources, rng):
            due = self._begun + offset
            prompt, length = rng.choice(self._prepared[name].pool)
            gevent.sleep(max(due - time.perf_counter(), 0))
            if name in self._lost or (self._paused and due > time.perf_counter()):
                break
            patience = due + self._options.request_timeout - time.perf_counter()
            if free.acquire(timeout=max(patience, 0.001)):
                sending.spawn(self._ask_and_free, phase, free, name, prompt, length, due)
            else:
                target = self._prepared[name].target
                self._noted(self._asker.not_sent(target, length, self._rows_of(phase), due))
        sending.join()
        self._sending.remove(sending)
        while not self._paused:
            gevent.sleep(_IDLE_SECONDS)

    def _ask_and_free(
        self,
        phase: Phase,
        free: BoundedSemaphore,
        name: str,
        prompt: Prompt,
        length: int,
        due: float,
    ) -> None:
        try:
            self._ask(name, prompt, length, self._rows_of(phase), due)
        finally:
            free.release()

    def _ask(
        self, name: str, prompt: Prompt, length: int, row_at: RowAt, due: float | None = None
    ) -> Record:
        target = self._prepared[name].target
        return self._noted(self._asker.ask(target, prompt, length, row_at, due))

    def _rows_of(self, phase: Phase) -> RowAt:
        """The phase's rows by the clock."""
        begun = self._begun
        return lambda at: phase.row_at(at - begun)

    def _noted(self, record: Record) -> Record:
        name = record.target
        self._records.append(record)
        if record.row:
            self._observe(self._prepared[name].target, record)
        if record.outcome == TargetError.outcome:
            self._unanswered[name] += 1
            if self._unanswered[name] >= LOST_AFTER:
                self._lose(name, f"lost: {self._unanswered[name]} in a row: {record.message}")
        elif record.outcome != UnsentError.outcome:
            self._unanswered[name] = 0
        return record

    def _lose(self, name: str, why: str) -> None:
        if name not in self._lost:
            self._lost[name] = why
            self._flush()
            self._tell("lost", {"target": name, "why": why})

    def _wait_until_idle(self, phase: Phase | None) -> None:
        while self._busy and self._paused:
            gevent.sleep(_IDLE_SECONDS)
        if phase and self._paused:
            self._over(phase)

    def _over(self, phase: Phase) -> None:
        if self._told_over < phase.number:
            self._told_over = phase.number
            self._flush()
            self._tell("over", {"number": phase.number, "worker": self._worker})

    def _flush_now_and_then(self) -> None:
        while True:
            gevent.sleep(0.5)
            self._flush()

    def _flush(self) -> None:
        records, self._records = self._records, []
        if records:
            self._tell("records", {"records": [record.values() for record in records]})


def _always(row: str) -> RowAt:
    return lambda _: row
