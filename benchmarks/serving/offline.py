"""What the session reaches without a server: the same features in its best batches.

A child process, started on the servers' core, with one thread. It reads questions from a file,
tokenizes them once, and for every line on standard input, a token budget, runs all features in
batches of that budget and writes the seconds that took.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO

from benchmarks.errors import BenchmarkError
from benchmarks.processes import pinned
from loadtest.local.servers import stop
from predictor import batch_plan
from predictor.engine import Engine
from predictor.sessions.protocol import SessionOptions
from predictor.types import Question

ONE_BY_ONE = 1
BUDGETS = (ONE_BY_ONE, 256, 512, 1024, 2048, 4096, 8192)


class Offline:
    """The child process, asked for one pass over its features at a time."""

    def __init__(self, requests: IO[bytes], answers: IO[bytes], features: int) -> None:
        """Takes the pipes of a child that is ready, and how many features it has."""
        self._requests, self._answers = requests, answers
        self.features = features

    def rate(self, budget: int) -> float:
        """Features per second of one pass in batches of at most `budget` tokens, padding counted.

        Raises:
            BenchmarkError: The child ended.
        """
        self._requests.write(f"{budget}\n".encode())
        self._requests.flush()
        line = self._answers.readline()
        if not line:
            raise BenchmarkError("the offline process ended")
        return self.features / float(line)


@contextmanager
def offline(
    folder: Path, questions: Sequence[Question], core: int, scratch: Path
) -> Iterator[Offline]:
    """Starts the child on one core; stops it in the end."""
    file = scratch / "offline-questions.json"
    file.write_text(json.dumps([asdict(question) for question in questions]), "utf-8")
    command = [sys.executable, "-m", "benchmarks.serving.offline", str(folder), str(file)]
    with pinned(core):
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
    with process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            first = process.stdout.readline()
            if not first:
                raise BenchmarkError("the offline process did not start")
            yield Offline(process.stdin, process.stdout, int(first))
        finally:
            stop(process)


def batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Positions grouped by length so that rows × longest ≤ budget; a longer one stands alone.

    Not the server's own plan: what is measured must not decide what it is measured against.
    """
    groups: list[list[int]] = []
    for position in sorted(range(len(lengths)), key=lengths.__getitem__):
        if groups and (len(groups[-1]) + 1) * lengths[position] <= budget:
            groups[-1].append(position)
        else:
            groups.append([position])
    return groups


def main() -> None:
    """The child's side."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving.offline", description=__doc__
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("questions", type=Path)
    arguments = parser.parse_args()
    engine = Engine.load(arguments.folder, options=SessionOptions(threads=1))
    texts = json.loads(arguments.questions.read_text("utf-8"))
    features = engine.prepare([Question(**text) for text in texts])
    engine.warm_up()
    _say(len(features))
    for line in sys.stdin:
        started = time.perf_counter()
        for positions in batches([len(feature) for feature in features], int(line)):
            chosen = [features[position] for position in positions]
            engine.session.run(
                batch_plan.collate(chosen, engine.spec.inputs, engine.spec.pad_token_id)
            )
        _say(time.perf_counter() - started)


def _say(value: float) -> None:
    sys.stdout.write(f"{value}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
