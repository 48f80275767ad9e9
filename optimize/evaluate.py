"""The predictor's own Engine over a SQuAD data set: what is evaluated is what is served."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

from optimize import squad
from optimize.progress import Progress
from optimize.squad import Example, Prediction, Scores
from optimize.torch_session import TORCH_SESSION
from predictor.artifact import read_spec
from predictor.engine import Engine
from predictor.session import ORT_SESSION
from predictor.types import Question


def session_for(format_: str) -> str:
    """The session that runs an artifact of this format."""
    return TORCH_SESSION if format_ == "torch" else ORT_SESSION


def predict(
    engine: Engine, examples: Sequence[Example], advance: Callable[[], None] = lambda: None
) -> dict[str, Prediction]:
    """Answers every question in a request of its own, as a lone client's would be.

    Args:
        engine: The artifact, with its served parameters.
        examples: The questions.
        advance: Called after each question.
    """
    # A second answer is the best span wherever the empty answer comes first.
    parameters = replace(engine.parameters, top_k=2)
    predictions = {}
    for example in examples:
        results, _ = engine.answer([Question(example.question, example.context)], parameters)
        best = next((answer.text for answer in results[0].answers if answer.text), "")
        predictions[example.id] = Prediction(best, results[0].null_score_diff)
        advance()
    return predictions


def evaluate(
    engine: Engine, examples: Sequence[Example], advance: Callable[[], None] = lambda: None
) -> tuple[Scores, dict[str, Prediction]]:
    """The official figures at the artifact's own threshold, and the predictions behind them."""
    predictions = predict(engine, examples, advance)
    threshold = engine.spec.null_score_diff_threshold
    return squad.score(examples, predictions, threshold), predictions


def main(arguments: argparse.Namespace) -> int:
    """Prints the figures of artifacts on a data set as JSON, by folder."""
    examples = squad.read(arguments.dataset)
    figures = {}
    with Progress() as progress:
        for folder in arguments.model_dir:
            session = session_for(read_spec(folder).format)
            engine = Engine.load(folder, session=session, threads=arguments.threads)
            with progress.task(str(folder), len(examples)) as advance:
                scores, _ = evaluate(engine, examples, advance)
            figures[str(folder)] = asdict(scores)
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    return 0
