"""`optimize` as a process and within this one, and questions that a build's artifact answers."""

import os
import subprocess
import sys

from optimize.build import build
from optimize.progress import Progress
from optimize.recipe import Measurement, Recipe
from predictor.types import Question

CONTEXT = (
    "The first little pig built a house of straw. The second little pig worked a little bit harder "
    "and built a house of sticks. Then they sang and danced and played together all day."
)
QUESTIONS = [
    Question(q, CONTEXT)
    for q in (
        "Who worked a little bit harder?",
        "What did the first little pig build his house of?",
        "How long did they play?",
        "Who was the president of France?",
    )
]


def optimize(*arguments, timeout=300, **environment):
    return subprocess.run(
        [sys.executable, "-m", "optimize", *map(str, arguments)],
        env=os.environ | {name: str(value) for name, value in environment.items()},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def one_error_line(result):
    assert "Traceback" not in result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("optimize: error:")]
    return line


def in_process(checkpoint, root, **changes):
    short = Measurement(sequence_lengths=(8,), rounds=1)
    recipe = Recipe(model=str(checkpoint), output=root, measurement=short, **changes)
    with Progress() as progress:
        return build(recipe, progress)
