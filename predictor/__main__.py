"""`python -m predictor`: Settings → Engine → QAModel → KServe's ModelServer."""

from __future__ import annotations

import argparse
import logging
import sys

from kserve import model_server

from predictor.engine import Engine
from predictor.errors import PredictorError, StartupError
from predictor.model import QAModel
from predictor.server import QAServer
from predictor.settings import PREFIX, Settings, read_settings


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
        group.add_argument(
            f"--{name}",
            default=argparse.SUPPRESS,
            help=f"{field.description} ({PREFIX}{name.upper()}; default: {field.default})",
        )
    return result


def main(argv: list[str] | None = None) -> int:
    """Serves until a signal; returns the exit status."""
    arguments = vars(parser().parse_args(argv))
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    try:
        if arguments["workers"] != 1:
            raise StartupError("--workers must be 1; scale with replicas")
        settings = read_settings({name: arguments.get(name) for name in Settings.model_fields})
        model = QAModel(
            arguments["model_name"],
            lambda: Engine.load(
                settings.model_dir,
                session=settings.session,
                provider=settings.provider,
                threads=settings.threads,
                max_batch_tokens=settings.max_batch_tokens,
            ),
        )
        server = QAServer(
            model,
            settings.model_dir,
            host=settings.host,
            max_request_bytes=settings.max_request_bytes,
        )
        server.check_ports()
        model.load()
    except PredictorError as error:
        sys.stderr.write(f"predictor: error: {error}\n")
        return 1
    server.start([model])
    return 0


if __name__ == "__main__":
    sys.exit(main())
