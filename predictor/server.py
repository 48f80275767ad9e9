"""KServe's ModelServer with the defaults that Spanserve needs changed.

What differs from the SDK: a host to bind to, one clear line where a port is taken, a bound on
bodies, malformed ones answered with 400, V2 routes of our own (routes.py), no loading or unloading
by clients, and no log line per request.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import warnings
from concurrent import futures
from pathlib import Path
from typing import Any

with warnings.catch_warnings():
    # kserve 0.21 still uses FastAPI's ORJSONResponse, at import and at every request.
    warnings.simplefilter("ignore")
    from fastapi.responses import ORJSONResponse  # noqa: F401
    from kserve import ModelServer, model_server

from grpc import aio
from kserve.errors import InvalidInput
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc
from kserve.protocol.grpc.interceptors import ExceptionToStatusInterceptor
from kserve.protocol.grpc.server import GRPCServer
from kserve.protocol.grpc.servicer import InferenceServicer
from kserve.protocol.model_repository_extension import ModelRepositoryExtension
from kserve.protocol.rest.server import RESTServer
from kserve.protocol.rest.v2_datamodels import InferenceRequest
from pydantic import ValidationError

from predictor.body_limit import BodyLimit
from predictor.errors import InvalidRequest, ModelNotServed, StartupError
from predictor.model import QAModel
from predictor.routes import V2Routes
from predictor.transport import TransportError, add_exception_handlers

logger = logging.getLogger(__name__)

_BINARY_HEADER = "inference-header-content-length"
_NOISY_LOGGERS = ("kserve.trace", "uvicorn.access", "kserve")


class QADataPlane(DataPlane):  # type: ignore[misc]  # the SDK is untyped
    """The SDK's data plane, where a body that cannot be decoded is the client's mistake."""

    async def model_ready(self, model_name: str, *args: Any) -> bool:
        """Whether the model is ready; raises TransportError for another model's name."""
        if self.model_registry.get_model(model_name) is None:
            raise TransportError(ModelNotServed(f"Model with name {model_name} does not exist."))
        return bool(await super().model_ready(model_name, *args))

    def decode(self, body: Any, headers: dict[str, str], *args: Any, **kwargs: Any) -> Any:
        """Decodes a body, V2 JSON whatever its content type; raises TransportError."""
        try:
            if "model_name" in kwargs and _BINARY_HEADER not in headers:
                body = InferenceRequest.model_validate_json(body)
            return super().decode(body, headers, *args, **kwargs)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            where = "".join(f"{part}: " for part in problem["loc"])
            raise TransportError(InvalidRequest(f"{where}{problem['msg']}")) from error
        except InvalidInput as error:
            raise TransportError(InvalidRequest(str(error))) from error
        except Exception as error:  # KeyError, struct.error, ValueError … from the SDK's parsing
            logger.debug("a body that cannot be decoded", exc_info=True)
            raise TransportError(
                InvalidRequest("the body is not a valid inference request of this protocol")
            ) from error


class _FixedRepository(ModelRepositoryExtension):  # type: ignore[misc]
    """No client may take the model away: the protocol has no authentication."""

    async def load(self, model_name: str) -> dict[str, Any]:
        raise TransportError(InvalidRequest("models cannot be loaded over the protocol"))

    async def unload(self, model_name: str) -> dict[str, Any]:
        raise TransportError(InvalidRequest("models cannot be unloaded over the protocol"))


class _GrpcServer(GRPCServer):  # type: ignore[misc]
    """The SDK's gRPC server on a host of our choice, and without a log line per call."""

    host = "[::]"

    async def start(self, max_workers: int) -> None:
        options = [
            (f"grpc.{name}", self._kwargs[f"grpc_{name}"])
            for name in ("max_send_message_length", "max_receive_message_length")
        ]
        self._server = aio.server(
            futures.ThreadPoolExecutor(max_workers=max_workers),
            interceptors=(ExceptionToStatusInterceptor(),),
            # Without this a second server would silently share the port.
            options=[*options, ("grpc.so_reuseport", 0)],
        )
        servicer = InferenceServicer(self._data_plane, self._model_repository_extension)
        grpc_predict_v2_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, self._server)
        self._server.add_insecure_port(f"{self.host}:{self._port}")
        await self._server.start()
        await self._server.wait_for_termination()


class QAServer(ModelServer):  # type: ignore[misc]
    """Serves one QAModel over REST and gRPC."""

    def __init__(
        self, model: QAModel, folder: Path, *, host: str, max_request_bytes: int, **kwargs: Any
    ) -> None:
        """Takes a model, its folder, and the limit of REST bodies; `kwargs` are the SDK's."""
        super().__init__(workers=1, **kwargs)
        self._max_request_bytes = max_request_bytes
        self._model = model
        self._folder = folder
        self._host = host
        self.dataplane = QADataPlane(model_registry=self.registered_models)
        self.model_repository_extension = _FixedRepository(self.registered_models)
        for name in _NOISY_LOGGERS:
            logging.getLogger(name).setLevel(logging.WARNING)
        warnings.filterwarnings("ignore", message="ORJSONResponse is deprecated")

    def check_ports(self) -> None:
        """Raises StartupError where a port cannot be bound."""
        for flag, port in (("http_port", self.http_port), ("grpc_port", self.grpc_port)):
            if flag == "grpc_port" and not self.enable_grpc:
                continue
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((self._host, port))
                except (OSError, OverflowError) as error:
                    raise StartupError(
                        f"cannot listen on {self._host}:{port} (--{flag}): {error}"
                    ) from error

    def start(self, models: list[QAModel]) -> None:
        """Serves until a signal; the models are loaded and warm already."""
        self._register_and_check_atleast_one_model_is_ready(models)
        self._rest_server = RESTServer(
            "kserve.model_server:app",
            self.dataplane,
            self.model_repository_extension,
            self.http_port,
            access_log_format=self.access_log_format,
            grace_period=self.grace_period,
            timeout_keep_alive=self.timeout_keep_alive,
            ssl_certfile=self.ssl_certfile,
            ssl_keyfile=self.ssl_keyfile,
        )
        self._rest_server.config.host = self._host
        self.servers.append(self._rest_server.start())
        if self.enable_grpc:
            self._grpc_server = _GrpcServer(
                self.grpc_port,
                self.dataplane,
                self.model_repository_extension,
                kwargs=vars(model_server.args),
                grace_period=self.grace_period,
            )
            self._grpc_server.host = "[::]" if self._host == "0.0.0.0" else self._host
            self.servers.append(self._grpc_server.start(self.max_threads))
        app = model_server.app
        add_exception_handlers(app)
        app.add_middleware(BodyLimit, max_request_bytes=self._max_request_bytes)
        V2Routes(self._model, self.dataplane, self._folder).register(app)
        self.register_signal_handler()
        asyncio.run(self._serve())
