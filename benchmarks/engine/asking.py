"""The measured processes as their parent sees them: one runs while the others wait."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.artifact import ROOT
from benchmarks.engine.figures import BLOCK
from benchmarks.errors import BenchmarkError
from benchmarks.output import say
from benchmarks.rounds import interleave
from loadtest.prompts import Prompt

# Threads of the one before may spin for some milliseconds after its answer.
_PAUSE_SECONDS = 0.02
_STOP_SECONDS = 30

Answers = dict[str, list[str]]
"""System → its answers, in the order of the questions."""

Seconds = dict[str, list[float]]
"""System → what each question took, in their order."""


class Worker:
    """One measured process."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        """Starts it and waits until it is ready; raises BenchmarkError where it ends instead."""
        self.name = name
        self._log = log
        with log.open("wb") as stream:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
            )
        try:
            first = self._read()
        except BaseException:
            self.stop()
            raise
        self.cannot: str | None = first.get("cannot")
        self.versions: Mapping[str, str] = first.get("versions", {})

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Its answer to one line; raises BenchmarkError where it ends."""
        time.sleep(_PAUSE_SECONDS)
        assert self._process.stdin
        # Where it has ended, the read says so.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        return self._read()

    def stop(self) -> None:
        """Ends it."""
        with contextlib.suppress(subprocess.TimeoutExpired, BrokenPipeError):
            self._process.communicate(timeout=_STOP_SECONDS)
        self._process.kill()
        self._process.wait()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            told = self._log.read_text("utf-8", "replace").strip().splitlines()[-3:]
            raise BenchmarkError(f"{self.name} ended: {' / '.join(told)}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextlib.contextmanager
def started(commands: Mapping[str, Sequence[str]], scratch: Path) -> Iterator[list[Worker]]:
    """Processes that are stopped in the end, each ready, or with the reason why it cannot run.

    Raises:
        BenchmarkError: One failed.
    """
    workers: list[Worker] = []
    try:
        for number, (name, command) in enumerate(commands.items()):
            say(f"  loading {name} …")
            workers.append(Worker(name, command, scratch / f"worker-{number}.log"))
        yield workers
    finally:
        for worker in workers:
            worker.stop()


def fixed(
    workers: Sequence[Worker], lengths: Sequence[int], rounds: int
) -> dict[tuple[str, int], list[float]]:
    """Seconds by system and length, one per round, each once a round in an order shuffled anew."""
    cases = {(w.name, length): partial(_run, w, length) for w in workers for length in lengths}
    return interleave(cases, rounds=rounds, dropped=1)


def _run(worker: Worker, length: int) -> float:
    return float(worker.ask({"length": length})["seconds"])


def traffic(workers: Sequence[Worker], questions: Sequence[Prompt]) -> tuple[Seconds, Answers]:
    """One pass over the questions: a block of them by each system in an order shuffled anew."""
    order, shuffle = list(workers), random.Random(0).shuffle
    seconds: Seconds = {worker.name: [] for worker in workers}
    answers: Answers = {worker.name: [] for worker in workers}
    for first in range(0, len(questions), BLOCK):
        block = [[one.question, one.context] for one in questions[first : first + BLOCK]]
        shuffle(order)
        for worker in order:
            answer = worker.ask({"questions": block})
            seconds[worker.name] += answer["seconds"]
            answers[worker.name] += answer["answers"]
    return seconds, answers
