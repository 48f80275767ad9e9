"""`verify` and `benchmark`: what a build measures and gates, on any artifacts."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from optimize.data import metrics, squad
from optimize.errors import GateFailed, SourceError
from optimize.evaluation import benchmark as benchmarks
from optimize.evaluation import evaluate, paired, parity
from optimize.evaluation.benchmark import BURN_IN_ROUNDS
from optimize.progress import Progress
from optimize.recipe import Tolerances
from optimize.reporting.report import table
from predictor.artifact import TOKENIZER_FILE
from predictor.engine import Engine

logger = logging.getLogger("optimize")


def verify(arguments: argparse.Namespace) -> int:
    """Prints what was found as JSON; raises GateFailed outside a bound."""
    folder, against = arguments.model_dir, arguments.against
    examples = squad.read(arguments.dataset) if arguments.dataset else []
    questions = parity.sample(examples)
    engine = evaluate.load(folder, arguments.threads)
    reference = evaluate.load(against, arguments.threads) if against else None
    if reference:
        _check_alike(folder, engine, against, reference)
    logits = engine.run(engine.prepare(questions))
    if not all(np.isfinite(row).all() for pair in logits for row in pair):
        raise GateFailed(f"{folder}: some logits are not numbers")
    figures: dict[str, Any] = {
        "model_dir": str(folder),
        "format": engine.spec.format,
        "precision": engine.spec.precision,
        "files": len(engine.spec.files),
        "questions": len(examples or questions),
    }
    if reference:
        figures |= {"against": str(against)} | _compare(arguments, engine, reference, examples)
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    return 0


def _compare(
    arguments: argparse.Namespace, engine: Engine, reference: Engine, examples: list[squad.Example]
) -> dict[str, Any]:
    """Parity of two artifacts, gated as a build gates its steps."""
    name, before = str(arguments.model_dir), str(arguments.against)
    ours = theirs = None
    if examples:
        with Progress() as progress:
            with progress.task(name, len(examples)) as advance:
                ours = evaluate.evaluate(engine, examples, advance)
            with progress.task(before, len(examples)) as advance:
                theirs = evaluate.evaluate(reference, examples, advance)
    found = parity.compare(
        engine,
        reference,
        parity.sample(examples),
        predictions=(ours[1], theirs[1]) if ours and theirs else None,
    )
    if arguments.parity_tolerance is not None:
        parity.check_logits(name, found, arguments.parity_tolerance)
    elif arguments.min_span_agreement is not None:
        parity.check_spans(name, found, arguments.min_span_agreement)
    else:
        parity.check(
            name,
            engine.spec.precision,
            found,
            tolerance=Tolerances.parity_tolerance,
            min_span_agreement=Tolerances.min_span_agreement,
        )
    figures = asdict(found) | {"relative_logit_difference": found.relative}
    if ours and theirs:
        found_loss = paired.loss(
            _f1(engine, examples, ours[1]), _f1(reference, examples, theirs[1])
        )
        most, strict = arguments.max_f1_drop, arguments.strict_gate
        if said := paired.check(name, found_loss, before, most=most, strict=strict):
            logger.warning("%s", said)
        figures |= {"f1": ours[0].f1, "f1_against": theirs[0].f1, "f1_loss": asdict(found_loss)}
    return figures


def _f1(
    engine: Engine, examples: list[squad.Example], predictions: dict[str, metrics.Prediction]
) -> list[float]:
    return metrics.f1_of_each(examples, predictions, engine.spec.null_score_diff_threshold)


def _check_alike(folder: Path, engine: Engine, against: Path, reference: Engine) -> None:
    """Raises SourceError where the same question would be other tokens."""

    def tokens(engine: Engine) -> list[object]:
        spec = engine.spec
        return [spec.inputs, spec.max_seq_length, spec.doc_stride, spec.files[TOKENIZER_FILE]]

    if tokens(engine) != tokens(reference):
        raise SourceError(f"{folder} and {against} tokenize differently: nothing can be compared")


def benchmark(arguments: argparse.Namespace) -> int:
    """Prints latencies as a Markdown table, or as JSON."""
    folders = dict.fromkeys(str(folder) for folder in arguments.model_dir)
    engines = {name: evaluate.load(Path(name), arguments.threads) for name in folders}
    rounds, lengths = arguments.rounds, arguments.sequence_lengths
    with Progress() as progress, progress.task("rounds", rounds + BURN_IN_ROUNDS) as advance:
        found = benchmarks.measure(engines, lengths, rounds, advance)
    if arguments.json:
        sys.stdout.write(
            json.dumps(
                {
                    name: {length: asdict(latency) for length, latency in row.items()}
                    for name, row in found.items()
                },
                indent=2,
            )
            + "\n"
        )
        return 0
    rows = []
    for length in sorted(set(lengths)):
        latencies = [found[name].get(length) for name in engines]
        cells = [f"{one.mean_ms:.2f} ± {one.std_ms:.2f}" if one else "–" for one in latencies]
        rows.append([str(length), *cells])
    head = ["tokens", *(f"{name} (ms)" for name in engines)]
    sys.stdout.write("\n".join(table(head, rows)) + "\n")
    return 0
