"""`python -m benchmarks.serving`: what serving costs, against bounds.

Method
- Servers run on one core, the load generator on another (stated where there is only one). The
  predictor finds one core by its affinity and gives the session one thread.
- Every figure compares two sides that are up at the same time, of which one is loaded at a time:
  rounds measure each side once, in shuffled order, so that whatever else the machine does hits
  both. The first rounds are dropped. A figure is the median over rounds of the per-round ratio
  (or difference), with the smallest and the largest. That an idle server takes no CPU is checked.
- The load generator sends prebuilt bytes over raw keep-alive sockets and reads status and length
  alone. Lone client: a blocking loop. Many clients: one thread, one selector, closed loop, a fixed
  number of requests. An answer that is not 200 fails the run.
- `cost`, `rate`: the predictor with its default settings against benchmarks/serving/bare_app.py,
  both with FakeSession; V2 REST JSON; 16 distinct requests of exactly 384 tokens.
- `batching-cost`: --batching on against off, same session and requests.
- `throughput`: the embedded checkpoint in fp32, lengths like SQuAD's (benchmarks/workload.py),
  against the same session on the same features without a server, in its best batches; and
  --batching on against off.
- `fixed-cost`: a session whose every run costs 20 ms, lengths like SQuAD's, --batching on against
  off.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.artifact import embedded_artifact
from benchmarks.errors import BenchmarkError
from benchmarks.output import say
from benchmarks.processes import Cores, pinned
from benchmarks.report import as_json, as_markdown
from benchmarks.rounds import Figure
from benchmarks.serving.figures import FIGURES
from benchmarks.serving.setting import QUICK, Setting, Sizes
from loadtest.signals import exit_on_signals


def main(argv: list[str] | None = None) -> int:
    """Measures; returns 1 where a bound is missed or a measurement fails."""
    arguments = _parser().parse_args(argv)
    exit_on_signals()
    cores = Cores.pick()
    say(f"Serving benchmark: {cores.describe()}")
    try:
        with tempfile.TemporaryDirectory() as scratch, pinned(cores.load):
            setting = Setting(
                folder=embedded_artifact(),
                cores=cores,
                sizes=QUICK if arguments.quick else Sizes(),
                scratch=Path(scratch),
                say=say,
            )
            figures = _measure(setting, arguments.only or list(FIGURES))
        table = as_markdown(figures)
        if arguments.output:
            name: Path = arguments.output
            text = as_json(figures, cores) if name.suffix == ".json" else table
            name.write_text(text, "utf-8")
    except (BenchmarkError, OSError) as error:
        sys.stderr.write(f"benchmarks.serving: error: {error}\n")
        return 1
    sys.stdout.write(f"\n{table}")
    missed = [figure.name for figure in figures if not figure.held]
    if missed:
        sys.stderr.write(f"benchmarks.serving: bounds missed: {', '.join(missed)}\n")
    return 1 if missed else 0


def _measure(setting: Setting, names: list[str]) -> list[Figure]:
    figures = []
    for name in names:
        say(f"{name} …")
        for figure in FIGURES[name](setting):
            say(f"  {figure.name}: {figure.value.median:.3f} {figure.unit} ({figure.detail})")
            figures.append(figure)
    return figures


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write the figures here too; .json or Markdown"
    )
    parser.add_argument(
        "--only", nargs="+", choices=list(FIGURES), metavar="NAME",
        help=f"measure these alone: {', '.join(FIGURES)}",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
