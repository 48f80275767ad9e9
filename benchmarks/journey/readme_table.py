"""`python -m benchmarks.journey.readme_table --dataset FILE`: the tables of what each step changes.

Builds the embedded pruned checkpoint next to its dense parent, evaluates the artifact of every step
on a SQuAD file, and writes tables and charts in the place of those before: all tables between the
markers of docs/benchmarks.md, a short one between the README's, the charts in docs/benchmarks. The
build itself never sees the file: what is served is chosen on the demo's questions, or on
`--train-data`. The file's share of questions without an answer is its own, and so are the null
thresholds here: each step's is chosen on some articles, and figures are of the others. Nothing is
written where anything fails.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import TypeAdapter

from benchmarks import machine
from benchmarks.articles import THRESHOLD_ARTICLES, Questions
from benchmarks.artifact import ROOT
from benchmarks.errors import BenchmarkError
from benchmarks.section import PAGE, Section, link
from demo.building import BASELINE, CHOICE, PRUNED, QUESTIONS
from loadtest.signals import exit_on_signals
from optimize.data import metrics, squad
from optimize.data.metrics import Scores
from optimize.errors import SourceError
from optimize.evaluation import evaluate, paired, threshold
from optimize.progress import Progress
from optimize.reporting import charts
from optimize.reporting.report import F1_CHART, LATENCY_CHART, Report

SECTION = Section("journey-table")
LENGTHS = "8,64,128,256,384,512"
CHARTS = {F1_CHART: "journey-f1.svg", LATENCY_CHART: "journey-latency.svg"}


def main(argv: list[str] | None = None) -> int:
    """Builds, evaluates and writes; returns the exit status."""
    arguments = _parser().parse_args(argv)
    exit_on_signals()
    try:
        for page in (arguments.readme, arguments.page):
            SECTION.filled(page, "")
        with TemporaryDirectory(prefix="journey-") as scratch:
            report = _built(arguments, Path(scratch))
            questions = Questions.read(arguments.dataset, THRESHOLD_ARTICLES, arguments.eval_sample)
            accuracies = _evaluated(questions, Path(scratch) / "steps", report)
        report = scored(report, accuracies, arguments.dataset.name)
        drawn = charts.draw(report)
        arguments.charts.mkdir(parents=True, exist_ok=True)
        for name, svg in drawn.items():
            (arguments.charts / CHARTS[name]).write_text(svg, "utf-8")
        places = {name: arguments.charts / CHARTS[name] for name in drawn}
        links = {name: link(arguments.page, place) for name, place in places.items()}
        content = tables(report, machine.describe(), links, arguments.eval_sample)
        chart = link(arguments.readme, places[F1_CHART]) if F1_CHART in places else None
        texts = {
            arguments.page: SECTION.filled(arguments.page, content),
            arguments.readme: SECTION.filled(arguments.readme, summary(report, chart)),
        }
        for page, text in texts.items():
            page.write_text(text, "utf-8")
    except (BenchmarkError, SourceError, OSError) as error:
        sys.stderr.write(f"benchmarks.journey.readme_table: error: {error}\n")
        return 1
    return 0


@dataclass(frozen=True)
class Accuracy:
    """Of one step, on the articles that no threshold was chosen on.

    Attributes:
        threshold: The best one on the other articles.
        scores: At that threshold.
        f1: Of each question, 0 to 1.
    """

    threshold: float | None
    scores: Scores
    f1: Sequence[float]


def scored(report: Report, accuracies: Mapping[str, Accuracy], dataset: str) -> Report:
    """The report with the figures of another data set, given by step.

    A loss is against the pruned step, which is the first with the weights that are served.
    """
    reference = accuracies[next(s.name for s in report.steps if s.name != "baseline")]
    steps = []
    for step in report.steps:
        found = accuracies[step.name]
        loss = paired.loss(found.f1, reference.f1) if step.loss else None
        steps.append(replace(step, scores=found.scores, threshold=found.threshold, loss=loss))
    conditions = report.conditions | {
        "dataset": dataset,
        "questions": reference.scores.questions,
    }
    return replace(report, steps=tuple(steps), conditions=conditions)


def tables(report: Report, machine_line: str, links: Mapping[str, str], sample: int | None) -> str:
    """What docs/benchmarks.md says between its markers, as Markdown.

    Args:
        report: Every step's figures.
        machine_line: Where they were measured.
        links: The charts' own names → where they lie, seen from the page.
        sample: How many questions were drawn, None for all of the file.
    """
    known = report.conditions
    threads = known["threads"]
    refused = report.rejected.values()
    drawn = ", drawn at random" if sample else ""
    lines = [
        f"Measured on {known['date']}: {machine_line}; {threads} thread{'s' * (threads != 1)}, "
        f"batch 1, {known['rounds']} rounds.",
        f"Accuracy: {known['questions']:,} questions of `{known['dataset']}`{drawn}, each step at "
        f"the null threshold that is best for it on the articles {_titles()}, none of them.",
        "",
        report.journey_table(),
        "",
        *(f"Not served, for its answers to the demo's questions: {why}.\n" for why in refused),
        "Latency in ms, mean ± standard deviation, by sequence length:",
        "",
        report.latency_table(),
        "",
        *(f"![{_ALT[name]}]({place})" for name, place in links.items()),
    ]
    return "\n".join(lines)


def summary(report: Report, chart: str | None) -> str:
    """What the README says between its markers, as Markdown.

    Args:
        report: Every step's figures.
        chart: Where that of F1 against latency lies, seen from the README; None without one.
    """
    baseline = report.steps[0]
    longest = max(baseline.latency)
    lines = [
        f"| step | what it is | size (MB) | F1 | × baseline's speed at {longest} tokens |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for step in report.steps:
        name = f"**{step.name}**" if step.name == report.served else step.name
        what = _WHAT[step.name.partition("-")[0]]
        f1 = f"{step.scores.f1:.2f}" if step.scores else "–"
        faster = report.speed_up(step, baseline, longest)
        speed = f"{faster:.2f}" if faster else "–"
        lines += [f"| {name} | {what} | {step.size_bytes / 1e6:.1f} | {f1} | {speed} |"]
    if chart:
        lines += ["", f"![{_ALT[F1_CHART]}]({chart})"]
    return "\n".join(lines)


# By step; int8 has variants, whose names go on.
_WHAT = {
    "baseline": "the dense checkpoint in PyTorch",
    "pruned": "without the heads and neurons that matter least",
    "onnx": "exported, run by ONNX Runtime",
    "graph": "attention and what is around it as fused operators",
    "int8": "weights and their products in 8 bits",
    "fp16": "weights and their products in 16 bits, for GPUs",
}
_ALT = {
    F1_CHART: "F1 against latency, step by step",
    LATENCY_CHART: "Latency by sequence length, step by step",
}


def _built(arguments: argparse.Namespace, scratch: Path) -> Report:
    if arguments.train_data:
        train = squad.read(arguments.train_data)
        if shared := squad.shared(squad.read(arguments.dataset), train):
            raise BenchmarkError(f"--train-data holds {shared} of the questions of --dataset")
    command = ["build", "--model", str(PRUNED), "--baseline", str(BASELINE)]
    command += ["--dataset", str(QUESTIONS), "--output", str(scratch / "root")]
    command += ["--null-threshold", "auto"]
    command += ["--keep-steps", str(scratch / "steps"), "--sequence-lengths", LENGTHS]
    command += ["--rounds", str(arguments.rounds)]
    command += ["--train-data", str((arguments.train_data or CHOICE).resolve())]
    _optimize(command)
    written = (scratch / "root" / "qa" / "1" / "report.json").read_text("utf-8")
    report: Report = TypeAdapter(Report).validate_json(written)
    return report


def _titles() -> str:
    return ", ".join(title.replace("_", " ") for title in THRESHOLD_ARTICLES)


def _evaluated(questions: Questions, steps: Path, report: Report) -> dict[str, Accuracy]:
    """The accuracy of every step's artifact, by step."""
    found = {}
    asked = [*questions.threshold, *questions.measured]
    with Progress() as progress:
        for step in report.steps:
            engine = evaluate.load(steps / step.name, threads=0)
            with progress.task(f"{step.name}: evaluate", len(asked)) as advance:
                predictions = evaluate.predict(engine, asked, advance)
            chosen = threshold.choose(questions.threshold, predictions)
            scores = metrics.score(questions.measured, predictions, chosen)
            f1 = metrics.f1_of_each(questions.measured, predictions, chosen)
            found[step.name] = Accuracy(chosen, scores, f1)
    return found


def _optimize(command: Sequence[str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "optimize", *command], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise BenchmarkError(f"optimize {command[0]} ended with status {done.returncode}")
    return done.stdout


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.journey.readme_table",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--dataset", type=Path, required=True, help="SQuAD file to evaluate on")
    parser.add_argument("--train-data", type=Path, help="of the build; default: the demo's")
    parser.add_argument("--eval-sample", type=int, help="so many questions; default: all")
    parser.add_argument("--rounds", type=int, default=30, help="of latency; default: 30")
    parser.add_argument(
        "--readme", type=Path, default=ROOT / "README.md", help="page of the short table"
    )
    parser.add_argument("--page", type=Path, default=PAGE, help="page of all tables")
    parser.add_argument(
        "--charts", type=Path, default=ROOT / "docs" / "benchmarks", help="folder of the charts"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
