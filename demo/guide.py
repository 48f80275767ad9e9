"""`python -m demo.guide`: runs every command of docs/guide.md and puts its output below it.

A command is a block ```sh, its output the block ```text that follows, stdout and stderr together.
All run in one shell, in a scratch folder that looks like the repository, and whatever they leave
running is ended. Ports in the guide stand for free ones. `--check` changes nothing and exits 1
where an output has another shape than the guide says: other words, once numbers are left out.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from demo.errors import DemoError
from loadtest.local.servers import free_ports, stop

ROOT = Path(__file__).resolve().parent.parent
GUIDE = ROOT / "docs" / "guide.md"
PORTS = ("8080", "8081")
SECONDS = 1800
_PACKAGES = ("demo", "loadtest", "optimize", "predictor")
_BLOCK = re.compile(r"```sh\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", re.DOTALL)
_END = "\x1e"
_NUMBER = re.compile(
    r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[0-9a-f]{12,}\b"  # ids, hashes
    r"|[-−]?\d+(?:[.:,-]\d+)*(?:e[-+]?\d+)?(?:\+cpu|\+cu\d+)?"
)


@dataclass(frozen=True)
class Block:
    """Commands that are run together, and what the guide says that they print."""

    command: str
    output: str


def blocks(text: str) -> list[Block]:
    """The commands of a guide, in order."""
    return [Block(match[1], match[2] or "") for match in _BLOCK.finditer(text)]


def filled(text: str, outputs: Iterable[str]) -> str:
    """The guide with these outputs, one for each of its commands."""
    remaining = iter(outputs)

    def block(match: re.Match[str]) -> str:
        output = next(remaining)
        return f"```sh\n{match[1]}```\n" + (f"\n```text\n{output}```\n" if output else "")

    return _BLOCK.sub(block, text)


def run(commands: Sequence[str], scratch: Path) -> list[str]:
    """Runs commands in one shell, in order; what each one printed.

    Args:
        commands: What the shell is given.
        scratch: An empty folder to run in.

    Raises:
        DemoError: A command failed, or all of them took too long.
    """
    for name in _PACKAGES:
        (scratch / name).symlink_to(ROOT / name)
    script = "set -eo pipefail\n" + "".join(f"{c}\nprintf '\\036'\n" for c in commands)
    ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (scratch / "output").open("wb") as stream:
        process = subprocess.Popen(
            ["bash", "-c", _replaced(script, ports)],
            cwd=scratch,
            env=os.environ | {"PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        late = False
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            late = True
        finally:
            stop(process)
            with contextlib.suppress(ProcessLookupError):  # what a failed guide left running
                os.killpg(process.pid, signal.SIGKILL)
    said = (scratch / "output").read_text("utf-8", "replace")
    outputs = _replaced(said, {free: port for port, free in ports.items()}).split(_END)
    if late or process.returncode:
        why = f"is not done after {SECONDS} s" if late else "failed"
        command = commands[min(len(outputs), len(commands)) - 1]
        raise DemoError(f"{command.strip()!r} {why}: {outputs[-1].strip()[-500:]}")
    return [output.strip("\n") + "\n" if output.strip() else "" for output in outputs[:-1]]


def shape(output: str) -> list[str]:
    """The lines of an output without what differs from run to run: numbers, hashes, widths."""
    text = re.sub(r"-{2,}", "-", _NUMBER.sub("#", output))
    return [" ".join(line.split()) for line in text.splitlines()]


def differences(text: str, outputs: Sequence[str]) -> str:
    """Where outputs have another shape than the guide says; empty where nowhere."""
    lines: list[str] = []
    for block, output in zip(blocks(text), outputs, strict=True):
        lines += difflib.unified_diff(
            shape(block.output), shape(output), "guide", block.command.strip(), lineterm="", n=1
        )
    return "\n".join(lines)


def _replaced(text: str, names: dict[str, str]) -> str:
    for old, new in names.items():
        text = re.sub(rf"\b{old}\b", new, text)
    return text


def main(argv: list[str] | None = None) -> int:
    """Refreshes or checks the guide; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m demo.guide",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 on a difference")
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    text = GUIDE.read_text("utf-8")
    try:
        with TemporaryDirectory(prefix="guide-") as scratch:
            outputs = run([block.command for block in blocks(text)], Path(scratch))
    except DemoError as error:
        sys.stderr.write(f"demo.guide: error: {error}\n")
        return 1
    if arguments.check:
        found = differences(text, outputs)
        sys.stdout.write(found + "\n" * bool(found))
        return 1 if found else 0
    GUIDE.write_text(filled(text, outputs), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
