"""`python -m benchmarks.pruning.table --dataset FILE`: the table of F1 against density.

Measures a study of pruned models, `<study>/one-shot/<density>/` and `<study>/recovered/<density>/`,
beside the dense checkpoint that they were made of and the pruned one that is shipped, and writes a
table and two charts in the place of those before: the table between the markers of
docs/benchmarks.md, the charts in docs/benchmarks. Nothing is written where anything fails.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import machine
from benchmarks.articles import THRESHOLD_ARTICLES, Questions
from benchmarks.artifact import ROOT
from benchmarks.errors import BenchmarkError
from benchmarks.pruning import charts as pruning_charts
from benchmarks.pruning.charts import DENSITY_CHART, LATENCY_CHART
from benchmarks.pruning.study import (
    LENGTH,
    SHIPPED,
    Figures,
    dense_of,
    found,
    measure,
)
from benchmarks.section import PAGE, Section, link
from loadtest.signals import exit_on_signals
from optimize.data.metrics import Scores
from optimize.errors import OptimizeError
from optimize.reporting.report import table
from optimize.verbs.values import positive
from predictor.errors import PredictorError
from predictor.sessions.cpu import available_cpus

SECTION = Section("pruning-table")
_ALT = {
    DENSITY_CHART: "F1 against density, dense to sparse",
    LATENCY_CHART: "F1 against latency, dense to sparse",
}


@dataclass(frozen=True)
class Conditions:
    """What the figures hold for.

    Attributes:
        threshold_articles: Their titles.
        sample: Whether the questions were drawn at random.
        absent: Names of the models that the study lacks.
    """

    date: str
    machine: str
    threads: int
    rounds: int
    dataset: str
    questions: int
    threshold_questions: int
    threshold_articles: Sequence[str]
    sample: bool
    absent: Sequence[str]


def main(argv: list[str] | None = None) -> int:
    """Measures and writes; returns the exit status."""
    arguments = _parser().parse_args(argv)
    exit_on_signals()
    try:
        SECTION.filled(arguments.page, "")
        models, absent = found(arguments.study)
        titles = [title.strip() for title in arguments.threshold_articles.split(",")]
        questions = Questions.read(arguments.dataset, titles, arguments.eval_sample)
        threads = available_cpus()
        with TemporaryDirectory(prefix="pruning-") as scratch:
            figures = measure(models, questions, arguments.rounds, threads, Path(scratch))
        conditions = Conditions(
            date=datetime.now(UTC).date().isoformat(),
            machine=machine.describe(),
            threads=threads,
            rounds=arguments.rounds,
            dataset=arguments.dataset.name,
            questions=len(questions.measured),
            threshold_questions=len(questions.threshold),
            threshold_articles=titles,
            sample=arguments.eval_sample is not None,
            absent=absent,
        )
        drawn = pruning_charts.draw(figures, _line(conditions))
        arguments.charts.mkdir(parents=True, exist_ok=True)
        for name, svg in drawn.items():
            (arguments.charts / name).write_text(svg, "utf-8")
        links = {name: link(arguments.page, arguments.charts / name) for name in drawn}
        text = SECTION.filled(arguments.page, content(figures, conditions, links))
        arguments.page.write_text(text, "utf-8")
    except (BenchmarkError, OptimizeError, PredictorError, OSError) as error:
        sys.stderr.write(f"benchmarks.pruning.table: error: {error}\n")
        return 1
    return 0


def content(figures: Sequence[Figures], known: Conditions, links: Mapping[str, str]) -> str:
    """What docs/benchmarks.md says between its markers, as Markdown.

    Args:
        figures: Of every model, the dense one among them.
        known: What they hold for.
        links: The charts' names → where they lie, seen from the page.
    """
    drawn = ", drawn at random," if known.sample else ""
    titles = ", ".join(title.replace("_", " ") for title in known.threshold_articles)
    lines = [
        f"Measured on {known.date}: {known.machine}; {known.threads} thread"
        f"{'s' * (known.threads != 1)}, batch 1, {known.rounds} rounds. ONNX Runtime, fp32, fused.",
        f"Accuracy: {known.questions:,} questions{drawn} of `{known.dataset}`, at the "
        f"`null_score_diff_threshold` that is best for the model on {known.threshold_questions:,} "
        f"others (articles {titles}).",
        "",
        *_table(figures),
        "",
        "“loss” is F1 below the dense model's, each at its own threshold or at its best one; "
        "× dense is a ratio of medians.",
    ]
    if known.absent:
        lines += [f"Not in the study, and so not measured: {', '.join(known.absent)}."]
    lines += ["", *(f"![{_ALT[name]}]({place})" for name, place in links.items())]
    return "\n".join(lines)


def _table(figures: Sequence[Figures]) -> list[str]:
    dense = dense_of(figures)
    rows = []
    for one in figures:
        chosen, latency = one.accuracy.chosen, one.latency
        rows.append(
            [
                f"**{one.name}**" if one.way == SHIPPED else one.name,
                f"{one.density:.2f}",
                f"{one.size_bytes / 1e6:.1f}",
                f"{one.accuracy.threshold:.2f}",
                _both(chosen),
                _loss(dense.accuracy.chosen.f1, chosen.f1, one is dense),
                f"{chosen.best_f1:.2f}",
                _loss(dense.accuracy.chosen.best_f1, chosen.best_f1, one is dense),
                f"{latency.p50_ms:.2f}",
                f"{latency.mean_ms:.2f} ± {latency.std_ms:.2f}",
                f"{dense.latency.p50_ms / latency.p50_ms:.2f}",
            ]
        )
    head = ["model", "density", "size (MB)"]
    head += ["threshold", "EM / F1", "loss", "best F1", "loss"]
    head += [f"median at {LENGTH} (ms)", "mean ± sd (ms)", "× dense"]
    return table(head, rows)


def _both(scores: Scores) -> str:
    return f"{scores.exact_match:.2f} / {scores.f1:.2f}"


def _loss(dense: float, f1: float, itself: bool) -> str:
    return "" if itself else f"{dense - f1:.2f}"


def _line(known: Conditions) -> str:
    """What a chart holds for."""
    return (
        f"ONNX Runtime fp32, {known.threads} thread{'s' * (known.threads != 1)}, batch 1, "
        f"{known.rounds} rounds; {known.questions:,} questions, each model at its own threshold"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pruning.table",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--dataset", type=Path, required=True, help="SQuAD file to evaluate on")
    parser.add_argument(
        "--study", type=Path, default=ROOT / "build" / "study",
        help="folder of the pruned models; default: build/study",
    )  # fmt: skip
    parser.add_argument(
        "--threshold-articles", default=",".join(THRESHOLD_ARTICLES), metavar="TITLES",
        help="articles of --dataset that thresholds are chosen on, and no figure is of; "
        "default: %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--eval-sample", type=positive, help="so many questions of either part; default: all"
    )
    parser.add_argument("--rounds", type=positive, default=30, help="of latency; default: 30")
    parser.add_argument("--page", type=Path, default=PAGE, help="page with the markers")
    parser.add_argument(
        "--charts", type=Path, default=ROOT / "docs" / "benchmarks", help="folder of the charts"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
