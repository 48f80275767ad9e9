"""`python -m demo`: the page that asks several models side by side, for the targets of a file."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from demo.app import HOST, PORT, port, serve
from demo.errors import DemoError
from loadtest.errors import LoadTestError


def parser() -> argparse.ArgumentParser:
    """The command line's."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument(
        "--targets", type=Path, required=True, metavar="FILE",
        help="models to ask, the baseline first: a targets.yaml of the load test",
    )  # fmt: skip
    parser.add_argument("--host", default=HOST, help=f"address to listen on (default: {HOST})")
    parser.add_argument("--port", type=port, default=PORT, help=f"of the page (default: {PORT})")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    arguments = parser().parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        serve(arguments.targets, arguments.host, arguments.port)
    except (DemoError, LoadTestError) as error:
        sys.stderr.write(f"demo: error: {error}\n")
        return 1
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
