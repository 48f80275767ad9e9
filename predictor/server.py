"""KServe's ModelServer with the defaults that Spanserve needs changed.

This is where each part of KServe's SDK is taken, subclassed or replaced, and why:

__main__.py
    takes the flags of model_server beside ours.
model.py
    QAModel is a Model, since that is what the SDK registers and asks whether it is ready. It has
    `answer` in place of preprocess, predict and postprocess: requests come to it decoded. Its
    `load` loads nothing, as the SDK would call it for a model that drains.
server.py
    QAServer is a ModelServer with a host to bind to, one clear line where a port is taken, our REST
    and gRPC servers, an event loop of uvloop, and a shutdown in order: not ready, drained, closed.
    Its DataPlane says what the SDK's V2 metadata leaves out, and its ModelRepositoryExtension lets
    no client load or unload.
rest_api/server.py
    QARestServer is a RESTServer on that host, with our layers around its app and our routes before
    its own. DrainingServer is its _RefreshingServer, which a signal drains before it stops it.
rest_api/routes.py
    replaces the V2 endpoints of a model, which refuse versions and answer with nulls, and V1's.
rest_api/error_handlers.py
    replaces the handlers of exceptions: every refusal is one line of the log and one of JSON.
rest_api/edge.py
    replaces the middleware that times requests, and bounds bodies, which the SDK does not.
grpc_api/servicer.py
    QAServicer is an InferenceServicer with our codec where a call concerns the model.
grpc_api/server.py
    QAGrpcServer is a GRPCServer on that host, whose port no other server can share. Its interceptor
    replaces the SDK's two, which know nothing of our errors and log every call.
grpc_api/v2.py, sessions/remote.py
    take the protocol's messages, and the stub, as they are.
logs.py
    quiets the loggers that write a line for every request or probe.
"""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import warnings
from pathlib import Path
from typing import Any

from kserve import ModelServer, model_server
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.model_repository_extension import ModelRepositoryExtension

from predictor.errors import InvalidRequest, StartupError
from predictor.grpc_api.server import QAGrpcServer
from predictor.grpc_api.servicer import QAServicer
from predictor.metrics import Metrics
from predictor.model import QAModel
from predictor.rest_api.routes import Routes
from predictor.rest_api.server import QARestServer
from predictor.settings import Settings


class _QADataPlane(DataPlane):  # type: ignore[misc]  # the SDK is untyped
    """Says what the SDK's V2 metadata leaves out."""

    def metadata(self) -> dict[str, Any]:
        server: dict[str, Any] = super().metadata()
        # Clients may not load or unload models, whatever the SDK says.
        return server | {"extensions": ["binary_tensor_data"]}


class _FixedRepository(ModelRepositoryExtension):  # type: ignore[misc]
    """No client may take the model away: the protocol has no authentication."""

    async def load(self, model_name: str) -> dict[str, Any]:
        raise InvalidRequest("models cannot be loaded over the protocol")

    async def unload(self, model_name: str) -> dict[str, Any]:
        raise InvalidRequest("models cannot be unloaded over the protocol")


class QAServer(ModelServer):  # type: ignore[misc]
    """Serves one QAModel over REST and gRPC."""

    def __init__(self, settings: Settings, metrics: Metrics, **kwargs: Any) -> None:
        """Takes the settings, and who counts; `kwargs` are the SDK's."""
        super().__init__(workers=1, **kwargs)
        self._settings = settings
        self._metrics = metrics
        self.dataplane = _QADataPlane(model_registry=self.registered_models)
        self.model_repository_extension = _FixedRepository(self.registered_models)
        warnings.filterwarnings("ignore", message="ORJSONResponse is deprecated")

    def check_flags(self) -> None:
        """Raises StartupError where a flag of the SDK needs what is not here."""
        if self.access_log_format and importlib.util.find_spec("asgi_logger") is None:
            raise StartupError("--access_log_format needs the package asgi-logger")
        for flag in ("ssl_certfile", "ssl_keyfile"):
            path = getattr(self, flag)
            if path and not Path(path).is_file():
                raise StartupError(f"--{flag}: {path} is not a file")

    def check_ports(self) -> None:
        """Raises StartupError where a port cannot be bound."""
        if self.enable_grpc and self.http_port == self.grpc_port:
            raise StartupError(f"--http_port and --grpc_port are both {self.http_port}")
        for flag, port in (("http_port", self.http_port), ("grpc_port", self.grpc_port)):
            if flag == "grpc_port" and not self.enable_grpc:
                continue
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((self._settings.host, port))
                except (OSError, OverflowError) as error:
                    raise StartupError(
                        f"cannot listen on {self._settings.host}:{port} (--{flag}): {error}"
                    ) from error

    def start(self, models: list[QAModel]) -> None:
        """Serves the only one of the models until a signal."""
        (model,) = models
        self._register_and_check_atleast_one_model_is_ready(models)
        rest = QARestServer(
            self.dataplane,
            self.model_repository_extension,
            self.http_port,
            host=self._settings.host,
            routes=Routes(model, self._settings.model_dir, self._settings.max_request_bytes),
            metrics=self._metrics,
            max_request_bytes=self._settings.max_request_bytes,
            drain_seconds=self._settings.drain_seconds,
            on_drain=model.withdraw,
            on_close=self._close_grpc,
            access_log_format=self.access_log_format,
            grace_period=self.grace_period,
            event_loop=self.event_loop,
            timeout_keep_alive=self.timeout_keep_alive,
            ssl_certfile=self.ssl_certfile,
            ssl_keyfile=self.ssl_keyfile,
        )
        # asyncio.run, as the SDK calls it, would ignore --event-loop.
        with asyncio.Runner(loop_factory=rest.config.get_loop_factory()) as runner:
            runner.run(self._serve_both(rest, model))
        model.stop()

    async def _serve_both(self, rest: QARestServer, model: QAModel) -> None:
        serving = None
        if self.enable_grpc:
            host = "[::]" if self._settings.host == "0.0.0.0" else self._settings.host
            self._grpc_server = QAGrpcServer(
                QAServicer(model, self.dataplane, self.model_repository_extension),
                f"{host}:{self.grpc_port}",
                outcome=self._metrics.outcome,
                limits=vars(model_server.args),
                grace_period=self.grace_period,
            )
            serving = asyncio.create_task(self._grpc_server.start(self.max_threads))
        await rest.start()  # until a signal, drained
        if serving is not None:
            await serving
        await model.drain()

    async def _close_grpc(self) -> None:
        if self._grpc_server is not None:
            await self._grpc_server.stop()
