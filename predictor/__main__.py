"""`python -m predictor`: Settings → Engine → QAModel → KServe's ModelServer."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

from kserve import model_server

from predictor import logs
from predictor.batching.batcher import Batcher
from predictor.engine import Engine
from predictor.errors import PredictorError, StartupError
from predictor.metrics import Metrics
from predictor.model import QAModel
from predictor.server import QAServer
from predictor.sessions.cpu import available_cpus
from predictor.sessions.protocol import Remote
from predictor.settings import PREFIX, Settings, read_settings

_MOST_HELPERS = 4
# Where KServe's runtime for Triton listens for gRPC.
_TRITON_PORT = 9000


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


def remote_of(settings: Settings, predictor_host: str | None) -> Remote:
    """Where RemoteSession finds its model.

    Args:
        settings: Whose `remote_url` comes first.
        predictor_host: What KServe's controller tells a transformer, with or without a port.
    """
    url = settings.remote_url or predictor_host or ""
    if url and ":" not in url:
        url = f"{url}:{_TRITON_PORT}"
    return Remote(
        url,
        settings.remote_model,
        timeout=settings.remote_timeout,
        start_seconds=settings.remote_start_seconds,
    )


def make_model(
    name: str, settings: Settings, metrics: Metrics, predictor_host: str | None = None
) -> QAModel:
    """The model that the settings describe, not loaded yet."""
    remote = remote_of(settings, predictor_host)

    def load_engine() -> Engine:
        return Engine.load(
            settings.model_dir,
            session=settings.session,
            provider=settings.provider,
            threads=settings.threads,
            io_binding=settings.io_binding,
            cuda_graph=settings.cuda_graph,
            max_batch_tokens=settings.max_batch_tokens,
            remote=remote,
        )

    def make_batcher(engine: Engine) -> Batcher:
        return Batcher(
            engine,
            batching=settings.batching,
            max_queue_requests=settings.max_queue_requests,
            max_queue_tokens=settings.max_queue_tokens,
            helpers=min(available_cpus(), _MOST_HELPERS),
            on_run=metrics.ran,
        )

    return QAModel(
        name,
        load_engine,
        make_batcher,
        metrics=metrics,
        request_timeout=settings.request_timeout or None,
    )


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
        host = arguments["predictor_host"]
        model = make_model(arguments["model_name"], settings, metrics, host)
        server = QAServer(model, settings, metrics)
        if arguments["configure_logging"] and not log_config:
            logs.configure(settings.log_level)
        server.check_flags()
        server.check_ports()
        model.load()
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
