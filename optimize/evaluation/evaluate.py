"""The predictor's own Engine over a SQuAD data set: what is evaluated is what is served."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from optimize.data import metrics, squad
from optimize.data.metrics import Prediction, Scores
from optimize.data.squad import Example
from optimize.progress import Progress
from predictor.artifact import read_spec
from predictor.engine import Engine
from predictor.sessions.loading import ORT_SESSION
from predictor.sessions.protocol import SessionOptions
from predictor.types import Question

# By name: evaluating an ONNX artifact need not wait for torch to be imported.
TORCH_SESSION = "torch"
CONCURRENCY = 32


def session_for(format_: str) -> str:
    """The session that runs an artifact of this format."""
    return TORCH_SESSION if format_ == "torch" else ORT_SESSION


def load(folder: Path, threads: int) -> Engine:
    """Verifies and loads an artifact of either format; raises StartupError."""
    session = session_for(read_spec(folder).format)
    return Engine.load(folder, session=session, options=SessionOptions(threads=threads))


def predict(
    engine: Engine,
    examples: Sequence[Example],
    advance: Callable[[], None] = lambda: None,
    *,
    concurrency: int = CONCURRENCY,
) -> dict[str, Prediction]:
    """Answers every question, in the batches in which the server runs what waits together.

    Args:
        engine: The artifact, with its served parameters.
        examples: The questions.
        advance: Called after each question.
        concurrency: How many questions wait together, as of so many clients; 1 for a lone one.
    """
    # A second answer is the best span wherever the empty answer comes first.
    parameters = replace(engine.parameters, top_k=2)
    predictions = {}
    for first in range(0, len(examples), concurrency):
        waiting = examples[first : first + concurrency]
        questions = [Question(example.question, example.context) for example in waiting]
        results, _ = engine.answer(questions, parameters)
        for example, result in zip(waiting, results, strict=True):
            best = next((answer.text for answer in result.answers if answer.text), "")
            predictions[example.id] = Prediction(best, result.null_score_diff)
            advance()
    return predictions


def evaluate(
    engine: Engine,
    examples: Sequence[Example],
    advance: Callable[[], None] = lambda: None,
    *,
    concurrency: int = CONCURRENCY,
) -> tuple[Scores, dict[str, Prediction]]:
    """The official figures at the artifact's own threshold, and the predictions behind them."""
    predictions = predict(engine, examples, advance, concurrency=concurrency)
    threshold = engine.spec.null_score_diff_threshold
    return metrics.score(examples, predictions, threshold), predictions


def main(arguments: argparse.Namespace) -> int:
    """Prints the figures of artifacts on a data set as JSON, by folder."""
    examples = squad.sample(squad.read(arguments.dataset), arguments.eval_sample)
    figures = {}
    with Progress() as progress:
        for folder in arguments.model_dir:
            engine = load(folder, arguments.threads)
            with progress.task(str(folder), len(examples)) as advance:
                scores, _ = evaluate(engine, examples, advance, concurrency=arguments.concurrency)
            figures[str(folder)] = asdict(scores)
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    return 0
