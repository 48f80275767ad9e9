"""`python -m benchmarks.tables`: the guide's tables, measured on this machine.

`python -m loadtest local` serves the baseline, the optimized model without and with IOBinding,
Triton, and what else one could run, as far as it is installed, asks all of them in turns, and stops
them. What it measured becomes `docs/benchmarks/tables.md`, or `tables-<name>.md` for another model
than the embedded one, with a chart beside it; the speed-ups and the chart of the embedded model go
between the markers of docs/benchmarks.md too. Nothing is written where anything fails.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks import machine
from benchmarks.artifact import ROOT
from benchmarks.errors import BenchmarkError
from benchmarks.journey.__main__ import SHAPES
from benchmarks.journey.processes import run_apart
from benchmarks.output import say
from benchmarks.section import PAGE, Section, link
from benchmarks.tables.text import Measured, page, summary
from loadtest.errors import LoadTestError
from loadtest.local.artifacts import BASELINE, MODEL
from loadtest.local.comparison import DEPLOYMENTS_FILE
from loadtest.option_values import at_least, lengths, positive
from loadtest.options import DEFAULT_LENGTHS
from loadtest.reports.charts import chart_of
from loadtest.reports.output import SUMMARY
from loadtest.results.result import read_result, write_text
from loadtest.signals import exit_on_signals

SECTION = Section("tables")
BUILD = ROOT / "build" / "tables"


def main(argv: list[str] | None = None) -> int:
    """Measures and writes; returns the exit status."""
    arguments = _parser().parse_args(argv)
    exit_on_signals()
    try:
        embedded = not (arguments.model or arguments.shapes)
        SECTION.filled(arguments.page, "")
        if arguments.shapes:
            model, baseline = random_pair(arguments.shapes, BUILD / "shapes")
        else:
            model = arguments.model or MODEL
            baseline = arguments.baseline or (BASELINE if embedded else model)
        name = arguments.name or ("" if embedded else arguments.shapes or model.resolve().name)
        load = os.getloadavg()[0]
        results = BUILD / "results" / (name or "embedded")
        _local(arguments, model, baseline, results)
        measured = _read(results, name, _command(arguments), (model, baseline), load)
        file = f"tables-{name}" if name else "tables"
        drawn = chart_of(measured.result)
        chart = f"{file}.svg" if drawn else ""
        (arguments.output / f"{file}.svg").unlink(missing_ok=True)
        if drawn:
            write_text(arguments.output / chart, drawn[1])
        write_text(arguments.output / f"{file}.md", page(measured, chart))
        say(f"wrote {arguments.output / file}.md{' and its chart' * bool(chart)}")
        if embedded:
            folder = link(arguments.page, arguments.output)
            part = summary(measured, chart and f"{folder}/{chart}", f"{folder}/{file}.md")
            write_text(arguments.page, SECTION.filled(arguments.page, part))
            say(f"wrote the part of {arguments.page}")
    except (BenchmarkError, LoadTestError, OSError) as error:
        sys.stderr.write(f"benchmarks.tables: error: {error}\n")
        return 1
    return 0


def random_pair(shapes: str, folder: Path) -> tuple[Path, Path]:
    """Random weights of a shape: the compacted INT8 model, and the dense one in PyTorch.

    Raises:
        BenchmarkError: One of them cannot be built.
    """
    model, baseline = folder / f"{shapes}-compacted" / "int8", folder / shapes / "torch"
    for artifact, steps in ((model, ("graph", "int8")), (baseline, ("torch",))):
        if not (artifact / "artifact.json").is_file():
            say(f"building {artifact.parent.name} with random weights")
            folder.mkdir(parents=True, exist_ok=True)
            # What an end before the last step left.
            shutil.rmtree(artifact.parent, ignore_errors=True)
            run_apart("build", artifact.parent.name, str(folder), *steps)
    return model, baseline


def _local(arguments: argparse.Namespace, model: Path, baseline: Path, results: Path) -> None:
    command = [sys.executable, "-m", "loadtest", "local", "--model", str(model)]
    command += ["--baseline", str(baseline), "--work-dir", str(BUILD)]
    command += ["--results-dir", str(results), "--lengths", arguments.lengths]
    command += ["--requests-per-length", str(arguments.requests_per_length)]
    command += ["--max-minutes", str(arguments.max_minutes)]
    if arguments.deployments:
        command += ["--deployments", arguments.deployments]
    say(f"{' '.join(command[1:5])} …: at most {arguments.max_minutes:g} minutes")
    # Locust's own tables are not for reading; what goes on is told on the other stream.
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        try:
            status = process.wait()
        except BaseException:
            # It stops everything that it started first.
            process.terminate()
            raise
    if status:
        raise BenchmarkError(f"loadtest local ended with status {status}")


def _command(arguments: argparse.Namespace) -> str:
    """What measures the same again."""
    given = {"MODEL": arguments.model, "BASELINE": arguments.baseline, "SHAPES": arguments.shapes}
    return " ".join(["make tables", *(f"{name}={value}" for name, value in given.items() if value)])


def _read(folder: Path, name: str, command: str, pair: tuple[Path, Path], load: float) -> Measured:
    deployments = json.loads((folder / DEPLOYMENTS_FILE).read_text("utf-8"))
    return Measured(
        result=read_result(folder / SUMMARY),
        left_out=deployments["left_out"],
        name=name,
        command=command,
        model=_shown(pair[0]),
        baseline=_shown(pair[1]),
        machine=machine.describe(),
        load=load,
    )


def _shown(folder: Path) -> str:
    """A folder as it is named in a page: within the project, or by its last parts."""
    folder = folder.resolve()
    if folder.is_relative_to(ROOT):
        return folder.relative_to(ROOT).as_posix()
    return "/".join(folder.parts[-2:])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tables",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--model", type=Path, help="checkpoint or ONNX artifact; default: the embedded one"
    )
    what.add_argument(
        "--shapes", choices=SHAPES, help="random weights: compacted INT8 against dense PyTorch"
    )
    parser.add_argument(
        "--baseline", type=Path, help="checkpoint or PyTorch artifact; default: --model"
    )
    parser.add_argument("--name", help="of the page; default: the model's folder")
    parser.add_argument("--deployments", help="handed to `loadtest local`")
    parser.add_argument(
        "--lengths", type=lengths, default=DEFAULT_LENGTHS, help="default: %(default)s"
    )
    parser.add_argument(
        "--requests-per-length", type=at_least(1), default=50, help="default: %(default)s"
    )
    parser.add_argument(
        "--max-minutes", type=positive, default=90.0, help="for all of it; default: %(default)g"
    )
    parser.add_argument("--page", type=Path, default=PAGE, help="page with the markers")
    parser.add_argument(
        "--output", type=Path, default=ROOT / "docs" / "benchmarks", help="folder of all tables"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
