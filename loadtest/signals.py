"""Being told to end, as an exit: what a process started is stopped on its way out."""

import signal
import sys


def exit_on_signals(*more: signal.Signals) -> None:
    """Makes SIGTERM, SIGHUP and `more` end this process as an exit with 128 + their number does."""
    for number in (signal.SIGTERM, signal.SIGHUP, *more):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
