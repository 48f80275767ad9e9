"""What a measured process does, whoever's model it runs: it answers lines of JSON, one at a time.

First it writes {"versions": …}, or {"cannot": why} and ends. Then it answers
- {"length": tokens} with {"seconds": of one run of random tokens}, the second of its kind in a row:
  what another process left in the caches is no one's cost;
- {"questions": [[question, context], …]} with {"seconds": of each, "answers": […]}, asked one after
  the other from text to text.
While it waits it is blocked in a read.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from predictor.engine import Engine
from predictor.types import Batch, Question


class Talk:
    """The lines of this process; whatever else is printed goes to the log."""

    def __init__(self) -> None:
        """Takes stdout for itself."""
        self._out = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)

    def say(self, content: Mapping[str, Any]) -> None:
        """Writes a line."""
        self._out.write(json.dumps(content) + "\n")
        self._out.flush()

    def serve(self, engine: Engine, versions: Mapping[str, str]) -> None:
        """Answers until stdin ends."""
        tokens = np.random.default_rng(0)
        self.say({"versions": versions})
        for line in sys.stdin:
            request = json.loads(line)
            if "length" in request:
                batch = _random(engine, request["length"], tokens)
                engine.session.run(batch)
                started = time.perf_counter()
                engine.session.run(batch)
                self.say({"seconds": time.perf_counter() - started})
            else:
                self.say(_asked(engine, request["questions"]))


def _asked(engine: Engine, questions: list[list[str]]) -> dict[str, Any]:
    seconds, answers = [], []
    for question, context in questions:
        started = time.perf_counter()
        (result,), _ = engine.answer([Question(question, context)])
        seconds.append(time.perf_counter() - started)
        answers.append(result.answers[0].text)
    return {"seconds": seconds, "answers": answers}


def _random(engine: Engine, length: int, tokens: np.random.Generator) -> Batch:
    """One row of tokens from BERT's words, nothing padded."""
    shape = (1, length)
    values = {"input_ids": tokens.integers(1000, 30000, shape), "attention_mask": np.ones(shape)}
    return {name: values.get(name, np.zeros(shape)).astype(np.int64) for name in engine.spec.inputs}
