"""`python -m optimize <verb>`: the command line of the optimize image."""

from __future__ import annotations

import gc
import importlib
import logging
import signal
import sys
from types import FrameType

from optimize.verbs.parser import parser


def main(argv: list[str] | None = None) -> int:
    """Runs a verb; returns the exit status: 0, or that of the error (see `errors`)."""
    arguments = parser().parse_args(argv)
    logging.basicConfig(
        level=logging.WARNING,
        stream=sys.stderr,
        format="%(asctime)s %(name)s: %(message)s",
    )
    for name in ("optimize", "predictor"):
        logging.getLogger(name).setLevel(logging.INFO)
    signal.signal(signal.SIGTERM, _terminated)

    # Imported late, so that --help and a wrong option answer at once.
    from optimize.errors import OptimizeError
    from predictor.errors import PredictorError

    module, _, function = arguments.run.partition(":")
    try:
        run = getattr(importlib.import_module(module), function)
        # Imports leave much behind that has finalizers, in which a signal's exception is lost.
        gc.collect()
        status: int = run(arguments)
    except (OptimizeError, PredictorError) as error:
        sys.stderr.write(f"optimize: error: {error}\n")
        return getattr(error, "exit_status", 1)
    except KeyboardInterrupt:
        sys.stderr.write("optimize: interrupted; nothing was published\n")
        return 130
    return status


def _terminated(signal_number: int, _: FrameType | None) -> None:
    # Unwinds, so that the scratch folder is removed.
    raise SystemExit(128 + signal_number)


if __name__ == "__main__":
    sys.exit(main())
