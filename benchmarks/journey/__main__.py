"""`python -m benchmarks.journey`: what the journey brings on BERT-large's shapes, against bounds.

Method
- BERT-large with random weights, made from its configuration: dense; without the heads that the
  reference pruned model lacks (`heads`); and compacted, without its feed-forward neurons too. Speed
  and size depend on shapes alone; what pruning costs in accuracy is not measured here. Every model
  goes through the product's own steps (benchmarks/gpu/models.py), which assert the fusions.
- One process measures all systems, batch 1, random tokens, through the session alone: in every
  round each runs once at each length, in an order shuffled anew; the first rounds are dropped
  (optimize/evaluation/benchmark.py). A figure is the ratio of the two medians over the rounds; its
  spread is that of the per-round ratios. Threads: as many as this process may use.
- Each model is built in a process of its own, and measuring is another. `memory` is the largest
  peak of any of them, from the kernel's account of the process when it ends.
- Where a bound of speed is missed, ONNX Runtime's profiler says which operators take the time.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.journey.figures import LENGTHS, Measured, figures
from benchmarks.journey.processes import run_apart
from benchmarks.machine import processor
from benchmarks.output import say
from benchmarks.report import as_markdown
from loadtest.signals import exit_on_signals
from predictor.sessions.cpu import available_cpus

ROUNDS = 12
# The tiny ones hold no bound; they prove the program in seconds.
SHAPES = ("bert-large", "tiny")


def main(argv: list[str] | None = None) -> int:
    """Measures; returns 1 where a bound is missed or a measurement fails."""
    arguments = _parser().parse_args(argv)
    exit_on_signals()
    try:
        with TemporaryDirectory(prefix="benchmark-") as scratch:
            measured = measure(arguments.shapes, Path(scratch), arguments.rounds)
            found = figures(measured)
            missed = [figure.name for figure in found if not figure.held]
            text = f"{_conditions(arguments)}\n{as_markdown(found)}\n{_medians(measured)}"
            if missed:
                text += "\n" + _profile(measured, Path(scratch))
    except (BenchmarkError, OSError) as error:
        sys.stderr.write(f"benchmarks.journey: error: {error}\n")
        return 1
    sys.stdout.write(f"\n{text}")
    if arguments.output:
        arguments.output.write_text(text, "utf-8")
    if missed:
        sys.stderr.write(f"benchmarks.journey: bounds missed: {', '.join(missed)}\n")
    return 1 if missed else 0


def measure(shapes: str, scratch: Path, rounds: int) -> Measured:
    """Builds the models and measures them, each stage in a process of its own.

    Raises:
        BenchmarkError: A stage failed.
    """
    folders: dict[str, Path] = {}
    peaks: dict[str, int] = {}
    for variant, steps in (
        ("dense", ("torch", "graph")),
        ("heads", ("graph",)),
        ("compacted", ("graph", "int8")),
    ):
        name = shapes if variant == "dense" else f"{shapes}-{variant}"
        say(f"building {name} …")
        _, peaks[f"build {variant}"] = run_apart("build", name, str(scratch), *steps)
        say(f"  peak {peaks[f'build {variant}'] / 2**30:.2f} GiB")
        folders |= {f"{variant} {step}": scratch / name / step for step in steps}
    say(f"measuring {', '.join(folders)}: {rounds} rounds …")
    file = scratch / "measure.json"
    file.write_text(json.dumps({name: str(path) for name, path in folders.items()}), "utf-8")
    out, peaks["measure"] = run_apart(
        "measure", str(file), str(rounds), *(str(length) for length in LENGTHS)
    )
    counts: dict[str, Any] = json.loads(out)
    seconds = {
        (name, int(length)): values
        for name, lengths in counts["seconds"].items()
        for length, values in lengths.items()
    }
    return Measured(folders, seconds, counts["attention"], counts["layers"], peaks)


def _profile(measured: Measured, scratch: Path) -> str:
    """Seconds by operator of the ONNX systems, at the length of the bounds between them."""
    names = [name for name in measured.folders if not name.endswith("torch")]
    folders = [str(measured.folders[name]) for name in names]
    out, _ = run_apart("profile", str(scratch), str(LENGTHS[-1]), *folders)
    parts = [f"ms per run at {LENGTHS[-1]} tokens by operator (ONNX Runtime's profiler)\n"]
    for name, operators in zip(names, json.loads(out), strict=True):
        parts.append(f"- {name}: " + ", ".join(f"{op} {ms:.1f}" for op, ms in operators) + "\n")
    return "".join(parts)


def _medians(measured: Measured) -> str:
    """The table behind the figures: every system's own median at every length."""
    lines = [f"| system | {' | '.join(f'{length} tokens' for length in LENGTHS)} |\n"]
    lines.append("|---" * (1 + len(LENGTHS)) + "|\n")
    for name in measured.folders:
        cells = (f"{1e3 * median(measured.seconds[name, length]):.0f} ms" for length in LENGTHS)
        lines.append(f"| {name} | {' | '.join(cells)} |\n")
    peaks = ", ".join(f"{name} {peak / 2**30:.2f}" for name, peak in measured.peaks.items())
    return "".join([*lines, f"\nPeak memory by process, GiB: {peaks}\n"])


def _conditions(arguments: argparse.Namespace) -> str:
    return (
        f"{datetime.now(UTC).date().isoformat()}, {processor()}, {available_cpus()} threads, "
        f"{arguments.shapes}, {arguments.rounds} rounds\n"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.journey",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds that count")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the result here too")
    parser.add_argument(
        "--shapes", choices=SHAPES, default=SHAPES[0], help="tiny proves the program, no more"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
