"""Runs a command for as long as somebody holds this process' standard input open.

`python -m loadtest.local.guard COMMAND ARGUMENT...` ends with the command, in its place. When its
input ends, because the one who started it closed it or is gone, killed outright included, the
command and all processes of its group are asked to end, and killed where they stay.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time

from loadtest.signals import exit_on_signals

STOP_SECONDS = 20.0
_LOOK_SECONDS = 0.05


def main(command: list[str]) -> int:
    """Runs the command; returns its exit status, that of a shell where a signal ended it."""
    # A session of its own: what a terminal sends reaches it through its guard alone.
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    exit_on_signals(signal.SIGINT)
    try:
        ended = os.pidfd_open(process.pid)
        select.select([sys.stdin, ended], [], [])
    finally:
        end_group(process)
    status = process.returncode
    return status if status >= 0 else 128 - status


def end_group(process: subprocess.Popen[bytes], seconds: float = STOP_SECONDS) -> None:
    """Ends a process that leads a group, and the group: asked first, then killed."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            time.sleep(_LOOK_SECONDS)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
