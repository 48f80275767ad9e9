"""`python -m demo.local`: the embedded models, optimized, served on loopback, and their page."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from demo.app import HOST, PORT, port, serve
from demo.building import ROOT, CommandError, optimize
from demo.errors import DemoError
from demo.servers import running
from loadtest.errors import LoadTestError
from loadtest.signals import exit_on_signals
from predictor.artifact import SPEC_FILE
from predictor.sessions.cpu import available_cpus

# What `python -m optimize build` ends with where another build is published.
_OTHER_BUILD = 2


def artifacts(output: Path) -> dict[str, Path]:
    """The three artifacts that the page compares, the baseline first; built where they are not.

    Args:
        output: Where they are kept from one start to the next.

    Raises:
        DemoError: They cannot be built.
    """
    root, steps = output / "artifacts", output / "steps"
    folders = {
        "baseline": root / "qa-baseline" / "1",
        "pruned": steps / "graph",
        "optimized": root / "qa" / "1",
    }
    if all((folder / SPEC_FILE).is_file() for folder in folders.values()):
        try:
            # Which verifies what is there, in seconds.
            optimize(root)
        except CommandError as error:
            if error.status != _OTHER_BUILD:
                raise
        else:
            return folders
    for folder in (root, steps):
        shutil.rmtree(folder, ignore_errors=True)
    optimize(root, "--keep-steps", str(steps))
    for step in steps.iterdir():
        if step not in folders.values():
            shutil.rmtree(step)
    return folders


def settings(folders: Mapping[str, Path]) -> dict[str, dict[str, object]]:
    """How the predictors of these artifacts are started, the baseline's with PyTorch."""
    # All are asked at once: each has its share of the processors.
    threads = max(1, available_cpus() // len(folders))
    found: dict[str, dict[str, object]] = {name: {"threads": threads} for name in folders}
    found["baseline"]["session"] = "torch"
    return found


def run(output: Path, at: int) -> None:
    """Serves the models and the page until it is told to stop; then stops them.

    Raises:
        DemoError: The models cannot be built or served, or the port is taken.
    """
    output.mkdir(parents=True, exist_ok=True)
    folders = artifacts(output)
    with running(folders, settings(folders), output) as servers:
        targets = output / "targets.yaml"
        content = {"targets": [{"name": each.name, "host": each.url} for each in servers]}
        targets.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        serve(targets, HOST, at)


def parser() -> argparse.ArgumentParser:
    """The command line's."""
    parser = argparse.ArgumentParser(prog="python -m demo.local", description=__doc__)
    parser.add_argument(
        "--output", type=Path, default=ROOT / "build" / "demo-ui",
        help="folder of the artifacts, made on the first start (default: build/demo-ui)",
    )  # fmt: skip
    parser.add_argument(
        "--port", type=port, default=PORT, help=f"of the page, on {HOST} (default: {PORT})"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    arguments = parser().parse_args(argv)
    exit_on_signals()
    try:
        run(arguments.output.resolve(), arguments.port)
    except (DemoError, LoadTestError, OSError) as error:
        sys.stderr.write(f"demo: error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("demo: everything it started is stopped\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
