"""`python -m benchmarks.instructions.answering FOLDER`: answers the questions on stdin.

In a process of its own, also in one that valgrind runs: nothing is imported but the predictor.
Reads a JSON list of {"id", "question", "context"}. Writes {"sets": instruction sets} and then, for
each question, {"id", "answer", "seconds", "logits": start and end logits of each feature}.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from predictor.engine import Engine
from predictor.sessions import instructions
from predictor.sessions.protocol import SessionOptions
from predictor.types import Question


def main(folder: str) -> None:
    """Answers on one thread: valgrind runs one at a time anyway."""
    engine = Engine.load(Path(folder), options=SessionOptions(threads=1))
    _write({"sets": instructions.detected()})
    for row in json.load(sys.stdin):
        started = time.perf_counter()
        question = Question(row["question"], row["context"])
        features = engine.prepare([question])
        logits = engine.run(features)
        (result,) = engine.extract([question], features, logits, engine.parameters)
        _write(
            {
                "id": row["id"],
                "answer": result.answers[0].text,
                "seconds": time.perf_counter() - started,
                "logits": [[own.start.tolist(), own.end.tolist()] for own in logits],
            }
        )


def _write(row: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
