"""`python -m benchmarks.evaluation`: what `optimize evaluate` takes beside its session, in bounds.

Method
- The questions are cut into slices. Of each slice two sides are measured, in an order shuffled
  anew: `evaluate` (tokenize, plan, run, extract, score), and the session alone on that very
  slice's batches, which were made before. The first slice is dropped. `engine-…` is the median over
  slices of the ratio of the two.
- `command-…` is the whole process, from its start to its end, over the session alone on the batches
  of all questions; the two take turns.
- The embedded checkpoint in fp32 and int8, `--questions` questions of `--dataset`, repeated in
  order where it has fewer; threads: as many as this process may use.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.artifact import ROOT, embedded_artifact
from benchmarks.errors import BenchmarkError
from benchmarks.output import say
from benchmarks.report import as_markdown
from benchmarks.rounds import Figure, interleave, ratios
from demo.building import QUESTIONS
from loadtest.signals import exit_on_signals
from optimize.data import squad
from optimize.data.squad import Example
from optimize.errors import SourceError
from optimize.evaluation import evaluate
from optimize.evaluation.evaluate import CONCURRENCY
from predictor import batch_plan
from predictor.engine import Engine
from predictor.types import Batch, Question

PRECISIONS = ("int8", "fp32")
BOUND = 1.3
SLICES = 12
COMMANDS = 3


def main(argv: list[str] | None = None) -> int:
    """Measures; returns 1 where a bound is missed or a measurement fails."""
    arguments = _parser().parse_args(argv)
    exit_on_signals()
    figures: list[Figure] = []
    try:
        examples = _repeated(squad.read(arguments.dataset), arguments.questions)
        for precision in PRECISIONS:
            folder = embedded_artifact(precision)
            say(f"{precision}: {len(examples)} questions of {arguments.dataset.name} …")
            figures.append(engine_figure(precision, folder, examples, SLICES))
            figures.append(command_figure(precision, folder, examples, COMMANDS))
    except (BenchmarkError, SourceError, OSError) as error:
        sys.stderr.write(f"benchmarks.evaluation: error: {error}\n")
        return 1
    sys.stdout.write(f"\n{as_markdown(figures)}")
    missed = [figure.name for figure in figures if not figure.held]
    if missed:
        sys.stderr.write(f"benchmarks.evaluation: bounds missed: {', '.join(missed)}\n")
    return 1 if missed else 0


def engine_figure(precision: str, folder: Path, examples: Sequence[Example], slices: int) -> Figure:
    """Evaluation in this process over the session alone, slice by slice."""
    engine = evaluate.load(folder, 0)
    engine.warm_up()
    size = CONCURRENCY * max(1, len(examples) // (CONCURRENCY * slices))
    whole: dict[str, list[float]] = {"evaluate": [], "session": []}
    for number, first in enumerate(range(0, len(examples), size)):
        part = examples[first : first + size]
        sides = {
            "evaluate": partial(_seconds_of_evaluation, engine, part),
            "session": partial(_seconds_of_session, engine, batches(engine, part)),
        }
        measured = interleave(sides, rounds=1, dropped=0, seed=number)
        if number:
            for name, values in measured.items():
                whole[name] += values
    if not whole["session"]:
        raise BenchmarkError(f"{len(examples)} questions are too few to measure")
    return _figure(f"engine-{precision}", "evaluation in one process over its session", whole)


def command_figure(
    precision: str, folder: Path, examples: Sequence[Example], rounds: int
) -> Figure:
    """The whole command over the session alone, in turns."""
    engine = evaluate.load(folder, 0)
    engine.warm_up()
    with TemporaryDirectory(prefix="benchmark-") as scratch:
        dataset = Path(scratch) / "questions.json"
        dataset.write_text(json.dumps(_document(examples)), "utf-8")
        sides = {
            "evaluate": partial(_seconds_of_command, folder, dataset),
            "session": partial(_seconds_of_session, engine, batches(engine, examples)),
        }
        whole = interleave(sides, rounds=rounds, dropped=0)
    return _figure(f"command-{precision}", "optimize evaluate, start to end, over it", whole)


def batches(engine: Engine, examples: Sequence[Example]) -> list[Batch]:
    """The batches in which `evaluate` runs the questions, ready for the session."""
    made = []
    for first in range(0, len(examples), CONCURRENCY):
        waiting = examples[first : first + CONCURRENCY]
        features = engine.prepare([Question(e.question, e.context) for e in waiting])
        for positions in engine.plan([len(feature) for feature in features]):
            chosen = [features[position] for position in positions]
            made.append(batch_plan.collate(chosen, engine.spec.inputs, engine.spec.pad_token_id))
    return made


def _seconds_of_session(engine: Engine, ready: Sequence[Batch]) -> float:
    started = time.perf_counter()
    for batch in ready:
        engine.session.run(batch)
    return time.perf_counter() - started


def _seconds_of_evaluation(engine: Engine, examples: Sequence[Example]) -> float:
    started = time.perf_counter()
    evaluate.evaluate(engine, examples)
    return time.perf_counter() - started


def _seconds_of_command(folder: Path, dataset: Path) -> float:
    command = [sys.executable, "-m", "optimize", "evaluate", "--model-dir", str(folder)]
    command += ["--dataset", str(dataset)]
    started = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    if done.returncode:
        raise BenchmarkError(f"optimize evaluate ended with status {done.returncode}")
    return time.perf_counter() - started


def _figure(name: str, what: str, seconds: dict[str, list[float]]) -> Figure:
    above, below = seconds["evaluate"], seconds["session"]
    detail = f"{median(above):.2f} s over {median(below):.2f} s"
    return Figure(name, what, ratios(above, below), BOUND, True, "×", detail)


def _repeated(examples: Sequence[Example], count: int) -> list[Example]:
    """So many questions, the given ones over and over, each with an id of its own."""
    endless = itertools.islice(itertools.cycle(examples), count)
    return [replace(example, id=str(number)) for number, example in enumerate(endless)]


def _document(examples: Sequence[Example]) -> dict[str, object]:
    paragraphs = [
        {
            "context": example.context,
            "qas": [
                {
                    "id": example.id,
                    "question": example.question,
                    "is_impossible": not example.answers,
                    "answers": [{"text": text} for text in example.answers],
                }
            ],
        }
        for example in examples
    ]
    return {"data": [{"title": "benchmark", "paragraphs": paragraphs}]}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.evaluation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--dataset", type=Path, metavar="FILE", default=QUESTIONS,
        help="SQuAD file; default: the demo's questions",
    )  # fmt: skip
    parser.add_argument("--questions", type=int, default=1000, help="how many; default: 1000")
    return parser


if __name__ == "__main__":
    sys.exit(main())
