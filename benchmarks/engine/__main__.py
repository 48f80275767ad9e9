"""`python -m benchmarks.engine`: our engine on a CPU beside what else runs the same weights there.

Method
- Every system is a process of its own, all of them loaded before anything is measured, and asked in
  turns: one runs, the others wait in a read. Wall clock, taken inside of the process. Threads: as
  many as this process may use, in all of them. Batch 1.
- OpenVINO runs by its own API, in its own environment (`make peers`): LATENCY hint, bf16 where it
  computes in floating point, weights as exported from the same PyTorch module. Its int8 is NNCF's
  static one for transformers. Ours are the product's own steps.
- Fixed lengths: BERT-large with random weights, dense and compacted to the heads and widths of the
  reference pruned model; random tokens, through the session alone; NNCF calibrates on random tokens
  too. In every round each system runs at each length in an order shuffled anew, once unmeasured and
  once measured; the first round is dropped. A figure is the ratio of two medians, its spread that
  of the per-round ratios. OpenVINO's compacted models are there twice: with free axes, as our
  graphs are, which take any length, and compiled for each length.
- Real lengths: the embedded pruned model, questions in random order, one at a time, from text to
  answer. Tokenizing and extracting is our code in all of them. Two passes over the same questions:
  cold, after a start's warm-up with the shortest and the longest text, and warm. Systems take turns
  by blocks of questions. NNCF calibrates on `--train-data`. Figures are ratios of means.
- Lengths are those of `--dataset`, else distributed like SQuAD's, with the demo's texts.
- The bounds are for a CPU with AVX-512 VNNI. Where one of fixed lengths is missed, ONNX Runtime's
  profiler says which operators take the time.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import machine
from benchmarks.artifact import tokenizer_of
from benchmarks.engine import asking
from benchmarks.engine.figures import LENGTHS, Traffic, fixed_figures, traffic_figures
from benchmarks.engine.page import Measured, page
from benchmarks.engine.systems import (
    compacted_folder,
    embedded_systems,
    random_systems,
    rival_installed,
)
from benchmarks.errors import BenchmarkError
from benchmarks.journey.__main__ import SHAPES
from benchmarks.journey.processes import run_apart
from benchmarks.output import say
from benchmarks.workload import Texts
from demo.building import PRUNED, QUESTIONS
from loadtest.errors import LoadTestError
from loadtest.prompts import Prompt
from loadtest.signals import exit_on_signals
from loadtest.squad import read_questions

ROUNDS = 20
COUNT = 700


def main(argv: list[str] | None = None) -> int:
    """Measures; returns 1 where a bound is missed or a measurement fails."""
    arguments = _parser().parse_args(argv)
    exit_on_signals()
    try:
        with TemporaryDirectory(prefix="engine-") as scratch:
            measured = measure(arguments, Path(scratch))
    except (BenchmarkError, LoadTestError, OSError) as error:
        sys.stderr.write(f"benchmarks.engine: error: {error}\n")
        return 1
    text = page(measured)
    sys.stdout.write(f"\n{text}")
    if arguments.output:
        arguments.output.write_text(text, "utf-8")
    if missed := [figure.name for figure in measured.figures if not figure.held]:
        sys.stderr.write(f"benchmarks.engine: bounds missed: {', '.join(missed)}\n")
    return 1 if missed else 0


def measure(arguments: argparse.Namespace, scratch: Path) -> Measured:
    """Builds and measures everything; raises BenchmarkError."""
    chosen = _questions(arguments)
    load = os.getloadavg()[0]
    versions: dict[str, str] = {}
    left_out: dict[str, str] = {}
    if not rival_installed():
        left_out["OpenVINO"] = "it is not installed; `make peers` does that"

    systems = random_systems(arguments.shapes, scratch)
    with asking.started(systems, scratch) as workers:
        able = _able(workers, versions, left_out)
        say(f"fixed lengths: {arguments.rounds} rounds …")
        seconds = asking.fixed(able, LENGTHS, arguments.rounds)
    figures = fixed_figures(seconds)
    missed = any(not figure.held for figure in figures)
    profile = _profile(compacted_folder(arguments.shapes, scratch), scratch) if missed else []

    systems = embedded_systems(arguments.train_data, scratch)
    with asking.started(systems, scratch) as workers:
        able = _able(workers, versions, left_out)
        say(f"real lengths: {len(chosen)} questions, twice …")
        cold, _ = asking.traffic(able, chosen)
        warm, answers = asking.traffic(able, chosen)
    traffic = Traffic(cold, warm, answers)

    conditions = [
        _command(arguments),
        f"{datetime.now(UTC).date().isoformat()}: {machine.describe()}, load {load:.1f} before",
        f"Fixed lengths: {arguments.shapes}, {arguments.rounds} rounds",
        f"Real lengths: {len(chosen)} questions, "
        + (f"of `{arguments.dataset.name}`" if arguments.dataset else "the demo's texts")
        + f"; int8 of OpenVINO calibrated on `{arguments.train_data.name}`",
    ]
    figures = [*figures, *traffic_figures(traffic)]
    return Measured(conditions, versions, left_out, seconds, traffic, figures, profile)


def _command(arguments: argparse.Namespace) -> str:
    """What measures the same again."""
    given = {"DATASET": arguments.dataset, "TRAIN_DATA": arguments.train_data}
    files = (f"{name}={path.name}" for name, path in given.items() if path not in (None, QUESTIONS))
    return f"`{' '.join(['make bench-engine', *files])}`"


def _able(
    workers: Sequence[asking.Worker], versions: dict[str, str], left_out: dict[str, str]
) -> list[asking.Worker]:
    """Those that can run here; notes versions, and why the others cannot."""
    for worker in workers:
        versions.update(worker.versions)
    left_out.update({worker.name: worker.cannot for worker in workers if worker.cannot})
    return [worker for worker in workers if not worker.cannot]


def _questions(arguments: argparse.Namespace) -> list[Prompt]:
    if arguments.dataset:
        asked = read_questions(arguments.dataset)
        return random.Random(0).sample(asked, min(arguments.questions, len(asked)))
    drawn = Texts(tokenizer_of(PRUNED), seed=0).squad_like(arguments.questions)
    return [Prompt(one.question, one.context) for one in drawn]


def _profile(folder: Path, scratch: Path) -> list[str]:
    """Milliseconds by operator of our graphs, at every length."""
    say("bounds are missed: profiling …")
    lines = []
    for length in LENGTHS:
        folders = [str(folder / step) for step in ("graph", "int8")]
        out, _ = run_apart("profile", str(scratch), str(length), *folders)
        for step, operators in zip(("fp32", "int8"), json.loads(out), strict=True):
            said = ", ".join(f"{name} {ms:.1f}" for name, ms in operators)
            lines.append(f"- {step}, {length} tokens, ms a run: {said}")
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.engine",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--shapes", choices=SHAPES, default=SHAPES[0], help="tiny proves the program, no more"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of fixed lengths, that count")
    parser.add_argument("--questions", type=int, default=COUNT, help="of real lengths")
    parser.add_argument("--dataset", type=Path, help="SQuAD file with the questions to ask")
    parser.add_argument(
        "--train-data", type=Path, default=QUESTIONS,
        help="SQuAD file to calibrate OpenVINO's int8 on; default: the demo's questions",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the page here too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
