"""What decides which phase is when, in one process of a test, and gathers what was measured."""

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable
from typing import Any

import gevent

from loadtest.errors import LoadTestError, ResultError
from loadtest.options import Options
from loadtest.phases import CLOSED, OPEN, PREPARE, SEQUENTIAL, Phase, plan
from loadtest.results.recording import Recording
from loadtest.results.records import Record, RecordFile
from loadtest.targets import Target

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 0.05
_PROGRESS_SECONDS = 10.0
_SPAWN_SECONDS = 60.0

Send = Callable[[dict[str, Any]], None]
"""Sends a message to every generator."""


class _CutShort(LoadTestError):
    """The test cannot go on."""


class Conductor:
    """Leads the generators, in this process or in others, through the phases of one test.

    `users` is how many Locust users there shall be now, and `over` whether the test has ended.
    """

    def __init__(
        self,
        options: Options,
        targets: list[Target],
        recording: Recording,
        file: RecordFile | None,
        runner: Any,
        send: Send,
    ) -> None:
        self.users = 1
        self.over = False
        self._options = options
        self._targets = targets
        self._recording = recording
        self._file = file
        self._runner = runner
        self._send = send
        self._workers = 0
        self._phase: Phase | None = None
        self._begun: float | None = None
        self._over: set[tuple[int, int]] = set()
        self._row = ""
        recording.expect(targets)

    def run(self) -> None:
        """The whole test, until `over`; what goes wrong becomes a fault of the recording."""
        self._workers = self._runner.worker_count
        try:
            names = [target.name for target in self._targets]
            self._do(Phase(0, PREPARE, names))
            for phase in plan(self._options, names, self._recording):
                self._do(phase)
        except (_CutShort, ResultError) as error:
            self._count_time()
            self._recording.faults.append(str(error))
        finally:
            self.over = True

    def stop(self) -> None:
        """Has the generators stop and tell what they have, for a test that is stopped early."""
        self._count_time()
        if self._phase is not None:
            phase = self._phase
            self._send({"do": "pause"})
            with contextlib.suppress(_CutShort):
                self._wait(lambda: self._all_over(phase), seconds=2.0, complete=False)
        count = self._recording.requests
        self._recording.faults.append(f"stopped early, after {count} requests")

    def hear(self, what: str, data: dict[str, Any]) -> None:
        """What a generator tells."""
        if what == "records":
            records = [Record(*values) for values in data["records"]]
            if self._file:
                self._file.write(records)
            for record in records:
                self._recording.add(record)
                self._show_row(record.row)
        elif what == "note":
            self._recording.note(data["target"], data["text"])
        elif what == "lost":
            if not self._recording.lost(data["target"]):
                logger.warning("%s: %s", data["target"], data["why"])
            self._recording.lose(data["target"], data["why"])
        elif what == "over":
            self._over.add((data["number"], data["worker"]))

    def _do(self, phase: Phase) -> None:
        self._phase = phase
        self.users = {CLOSED: phase.users, OPEN: self._workers}.get(phase.kind, 1)
        self._wait(lambda: self._runner.user_count == self.users, _SPAWN_SECONDS)
        if phase.kind in (CLOSED, OPEN):
            row = next(segment.row for segment in phase.segments if segment.row)
            logger.info("%s, %s: %.0f s", phase.targets[0], row, phase.seconds)
        self._begun = time.monotonic()
        message = {"do": "begin", "phase": phase.message(), "sources": self.users}
        if phase.kind == PREPARE:
            targets = [dataclasses.asdict(target) for target in self._targets]
            message |= {"options": dataclasses.asdict(self._options), "targets": targets}
        self._send(message)
        timeout = self._options.request_timeout
        if phase.kind == PREPARE:
            limit = 60 + 10 * timeout * len(self._targets)
            self._wait(lambda: self._all_over(phase), limit)
            return
        if phase.kind == SEQUENTIAL:
            self._wait(lambda: any(number == phase.number for number, _ in self._over))
            self._show_row("")
        else:
            self._wait(lambda: self._all_lost(phase), phase.seconds, complete=False)
        self._count_time()
        self._send({"do": "pause"})
        # What is in flight has its timeout, and what waits to be sent has one before.
        self._wait(lambda: self._all_over(phase), 2 * timeout + 10)
        for name in phase.targets if phase.kind != SEQUENTIAL else []:
            for row in dict.fromkeys(segment.row for segment in phase.segments if segment.row):
                logger.info("%s, %s: %s", name, row, self._recording.progress(name, row))

    def _wait(
        self, condition: Callable[[], bool], seconds: float = 1e9, *, complete: bool = True
    ) -> None:
        """Waits for the condition, or for the time; raises _CutShort where it must come true."""
        begun = shown = time.monotonic()
        while not condition():
            now = time.monotonic()
            if now - begun >= seconds:
                if complete:
                    raise _CutShort(f"the load generators did not follow within {seconds:.0f} s")
                return
            if self._runner.worker_count < self._workers:
                lost = self._workers - self._runner.worker_count
                raise _CutShort(f"{lost} of {self._workers} workers were lost")
            if now - shown >= _PROGRESS_SECONDS:
                shown = now
                logger.info("%d requests so far", self._recording.requests)
            gevent.sleep(min(_LOOK_SECONDS, max(begun + seconds - now, 0.001)))

    def _count_time(self) -> None:
        """Counts the time of the phase for its rows, once."""
        if self._phase is not None and self._begun is not None:
            self._recording.phase_over(self._phase, time.monotonic() - self._begun)
        self._begun = None

    def _all_over(self, phase: Phase) -> bool:
        done = {worker for number, worker in self._over if number == phase.number}
        return len(done) >= self._workers

    def _all_lost(self, phase: Phase) -> bool:
        return all(self._recording.lost(target) for target in phase.targets)

    def _show_row(self, row: str) -> None:
        """Logs a row of sequential requests when the next one begins."""
        if self._phase is None or self._phase.kind != SEQUENTIAL or row == self._row:
            return
        before, self._row = self._row, row
        if before:
            for name in self._phase.targets:
                logger.info("%s, %s: %s", name, before, self._recording.progress(name, before))
