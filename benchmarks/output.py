"""What a benchmark tells while it runs."""

from __future__ import annotations

import sys


def say(line: str) -> None:
    """Prints a line at once, also into a pipe."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
