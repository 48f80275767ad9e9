"""`python -m benchmarks.pruning.latency_table`: is the table that prunes by latency true?

Method
- The table of a checkpoint's sizes is measured as `prune --target-latency-ms` does it.
- `--shapes` (20) encoders whose layers have heads and widths drawn at random are made and measured
  beside each other, in rounds of an order shuffled anew; the median counts. None of their layers
  was measured for the table as a whole.
- `rank-error` is the mean difference between an encoder's place by the table and by the clock, over
  the number of encoders (bound: 0.1; of places at random a third). Beside it stands the relative
  error of the milliseconds, which has no bound: other load during one of the two parts moves it.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import machine
from benchmarks.output import say
from demo.building import BASELINE
from loadtest.signals import exit_on_signals
from optimize.errors import OptimizeError
from optimize.pruning import latency_table
from optimize.pruning.costs import sizes
from optimize.reporting.report import table
from optimize.source import checkpoint
from predictor.artifact import LayerShape
from predictor.sessions.cpu import available_cpus

BOUND = 0.1
_WIDTH_STEP = 8


def main(argv: list[str] | None = None) -> int:
    """Measures; returns 1 where the bound is missed or a measurement fails."""
    arguments = _parser().parse_args(argv)
    exit_on_signals()
    try:
        config = checkpoint.read_config(arguments.model)
        threads = arguments.threads or available_cpus()
        say(f"{machine.describe()}; {threads} threads, {arguments.length} tokens")
        predicted, measured = _both(config, arguments, threads)
    except OptimizeError as why:
        sys.stderr.write(f"benchmarks.pruning.latency_table: error: {why}\n")
        return 1
    error = rank_error(predicted, measured)
    rows = [
        [str(place), f"{predicted[place]:.2f}", f"{measured[place]:.2f}"]
        for place in sorted(measured, key=measured.__getitem__)
    ]
    off = [abs(predicted[place] / measured[place] - 1) for place in measured]
    lines = table(["encoder", "by the table (ms)", "by the clock (ms)"], rows)
    say("\n".join(["", *lines, ""]))
    say(f"rank-error: {error:.3f} (bound {BOUND}); milliseconds: {statistics.median(off):.1%} off")
    if error > BOUND:
        sys.stderr.write("benchmarks.pruning.latency_table: bounds missed: rank-error\n")
        return 1
    return 0


def rank_error(predicted: Mapping[int, float], measured: Mapping[int, float]) -> float:
    """Mean difference of places by two measures, over the number of places."""
    places = [
        {key: place for place, key in enumerate(sorted(values, key=values.__getitem__))}
        for values in (predicted, measured)
    ]
    return statistics.fmean(abs(places[0][key] - places[1][key]) for key in measured) / len(
        measured
    )


def shapes(config: Any, count: int, seed: int) -> list[Sequence[LayerShape]]:
    """Encoders with heads and widths drawn at random, layer by layer."""
    draw = random.Random(seed)
    heads, width = sizes(config)
    return [
        [
            LayerShape(
                heads=draw.randint(1, heads),
                feed_forward=draw.randrange(_WIDTH_STEP, width + 1, _WIDTH_STEP),
            )
            for _ in range(config.num_hidden_layers)
        ]
        for _ in range(count)
    ]


def _both(
    config: Any, arguments: argparse.Namespace, threads: int
) -> tuple[dict[int, float], dict[int, float]]:
    """Milliseconds of every encoder, by the table and by the clock."""
    length = arguments.length
    with TemporaryDirectory() as scratch:
        costs = latency_table.measure(
            config, length, threads=threads, target="cpu", scratch=Path(scratch)
        )
    drawn = shapes(config, arguments.shapes, arguments.seed)
    predicted = {place: costs.total(layers) for place, layers in enumerate(drawn)}
    with TemporaryDirectory() as scratch:
        sessions = {}
        for place, layers in enumerate(drawn):
            folder = Path(scratch) / str(place)
            folder.mkdir()
            sessions[place] = latency_table.encoder(
                config, layers, folder, length=length, threads=threads, target="cpu"
            )
        return predicted, latency_table.medians(sessions, config, length)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pruning.latency_table",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--model", type=Path, default=BASELINE,
        help="checkpoint whose sizes are meant (default: the embedded one)",
    )  # fmt: skip
    parser.add_argument("--length", type=int, default=384, help="tokens (default: 384)")
    parser.add_argument("--shapes", type=int, default=20, help="encoders to draw (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default: 0)")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as there are CPUs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
