"""`python -m predictor`: the command line, and a server from its start to its end."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

from kserve import model_server

from predictor import logs
from predictor.errors import PredictorError, StartupError
from predictor.metrics import Metrics
from predictor.server import QAServer
from predictor.settings import PREFIX, Settings, read_settings
from predictor.startup import load_model


def parser() -> argparse.ArgumentParser:
    """The command line: a flag for every setting, and KServe's own."""
    result = argparse.ArgumentParser(
        prog="python -m predictor",
        description="Serve a question answering artifact over V1 and V2, REST and gRPC.",
        parents=[model_server.parser],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    result.set_defaults(model_name="qa")
    group = result.add_argument_group("Spanserve", "each is also an environment variable")
    for name, field in Settings.model_fields.items():
        default = ("off", "on")[field.default] if field.annotation is bool else field.default
        group.add_argument(
            f"--{name}",
            default=argparse.SUPPRESS,
            help=f"{field.description} ({PREFIX}{name.upper()}; default: {default})",
        )
    return result


def main(argv: list[str] | None = None) -> int:
    """Serves until a signal; returns the exit status."""
    arguments = vars(parser().parse_args(argv))
    # Until the server has its own handlers. The first process of a container would ignore SIGTERM.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    try:
        if arguments["workers"] != 1:
            raise StartupError("--workers must be 1; scale with replicas")
        log_config = arguments["log_config_file"]
        if log_config and not Path(log_config).is_file():
            raise StartupError(f"--log_config_file: {log_config} is not a file")
        settings = read_settings({name: arguments.get(name) for name in Settings.model_fields})
        metrics = Metrics()
        server = QAServer(settings, metrics)
        if arguments["configure_logging"] and not log_config:
            logs.configure(settings.log_level)
        server.check_flags()
        server.check_ports()
        host = arguments["predictor_host"]
        model = load_model(arguments["model_name"], settings, metrics, host)
    except PredictorError as error:
        sys.stderr.write(f"predictor: error: {error}\n")
        return 1
    server.start([model])
    return 0


def _leave(number: int, _: FrameType | None) -> None:
    """Ends a server that has not accepted anything yet."""
    raise SystemExit(0 if number == signal.SIGTERM else 130)


if __name__ == "__main__":
    sys.exit(main())
