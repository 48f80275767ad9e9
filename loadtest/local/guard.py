"""Ends servers whose owner is gone, killed outright included.

`python -m loadtest.local.guard` takes servers' process numbers, each of which leads a group, as
`RECORD` bytes on its standard input. Where a server has ended, what it left of its group is ended
too; when the input ends, all that still run are. They are asked first, then killed.
"""

import contextlib
import os
import select
import signal
import sys
import time

from loadtest.signals import exit_on_signals

STOP_SECONDS = 20.0
RECORD = 8
_REST_SECONDS = 1.0
_LOOK_SECONDS = 0.05


def main() -> None:
    """Watches until the input ends."""
    leaders: dict[int, int] = {}
    try:
        exit_on_signals(signal.SIGINT)
        while True:
            ready, _, _ = select.select([sys.stdin, *leaders], [], [])
            for ended in ready:
                if ended in leaders:
                    end_groups({ended: leaders.pop(ended)})
                elif record := os.read(sys.stdin.fileno(), RECORD):
                    _watch(int.from_bytes(record), leaders)
                else:
                    return
    finally:
        end_groups(leaders)


def _watch(pid: int, leaders: dict[int, int]) -> None:
    try:
        leaders[os.pidfd_open(pid)] = pid
    except ProcessLookupError:
        end_groups({}, pid)


def end_groups(leaders: dict[int, int], *gone: int) -> None:
    """Ends process groups.

    Args:
        leaders: Descriptor of the process that leads a group → its number.
        gone: Numbers of groups whose leader is gone.
    """
    groups = [pid for pid in (*leaders.values(), *gone) if _signal(pid, signal.SIGTERM)]
    deadline = time.monotonic() + STOP_SECONDS
    left = set(leaders)
    while left and time.monotonic() < deadline:
        left -= set(select.select(list(left), [], [], max(deadline - time.monotonic(), 0))[0])
    for leader in leaders:
        os.close(leader)
    deadline = time.monotonic() + _REST_SECONDS
    while time.monotonic() < deadline and any(_signal(pid, 0) for pid in groups):
        time.sleep(_LOOK_SECONDS)
    for pid in groups:
        _signal(pid, signal.SIGKILL)


def _signal(pid: int, number: int) -> bool:
    """Sends a group a signal; whether there is such a group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)
        return True
    return False


if __name__ == "__main__":
    main()
