"""The embedded models and the commands that make artifacts of them."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

from demo.errors import DemoError
from loadtest.local.servers import stop

ROOT = Path(__file__).resolve().parent.parent
BASELINE, PRUNED = (ROOT / "demo" / "checkpoint" / name for name in ("baseline", "pruned"))
QUESTIONS = ROOT / "demo" / "data" / "questions.json"
# Other questions on other texts: null thresholds and the int8 variant are chosen on them.
CHOICE = ROOT / "demo" / "data" / "choice.json"


class CommandError(DemoError):
    """A command that failed, with its exit status."""

    def __init__(self, text: str, status: int) -> None:
        """Takes the line to show and the status."""
        super().__init__(text)
        self.status = status


def optimize(output: Path, *more: str) -> None:
    """Builds the pruned checkpoint next to its dense parent, gated on the demo's own questions.

    Args:
        output: Root of the published artifacts, `qa/1` and `qa-baseline/1`.
        more: Further options of `python -m optimize build`.

    Raises:
        CommandError: With status 2 where another build is published there.
    """
    run("optimize", "build", "--model", str(PRUNED),
        "--baseline", str(BASELINE), "--dataset", str(QUESTIONS),
        "--train-data", str(CHOICE), "--null-threshold", "auto",
        "--output", str(output), *more,
        stdout=subprocess.DEVNULL)  # fmt: skip


def run(module: str, *arguments: str, stdout: int | None = None, log: Path | None = None) -> None:
    """Runs a module to its end, its output shown, dropped, or kept in a log.

    Raises:
        CommandError: It ended with another status than 0.
    """
    sys.stdout.flush()
    command = [sys.executable, "-m", module, *arguments]
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(log.open("wb")) if log else stdout
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=stream,
            stderr=subprocess.STDOUT if log else None,
            start_new_session=True,
        )
        try:
            status = process.wait()
        except BaseException:
            stop(process)
            raise
    if status:
        where = f"; see {log}" if log else ""
        what = f"python -m {module} {arguments[0]} ended with status {status}{where}"
        raise CommandError(what, status)
