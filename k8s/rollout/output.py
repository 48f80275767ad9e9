"""What a rollout says: progress on stdout, one line each."""

from __future__ import annotations

import sys


def say(text: str) -> None:
    """Writes a line at once, also where stdout is a pod's log."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
