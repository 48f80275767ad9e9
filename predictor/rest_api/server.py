"""KServe's REST server: our layers and routes on its app, and a shutdown that loses nothing.

A signal makes the model not ready at once. For `drain_seconds` everything is still answered, with
`Connection: close`, so that clients and load balancers turn elsewhere; then the listener closes,
gRPC's at the same time, and what is in flight or queued is answered within the SDK's grace period.
A second signal closes the listeners at once.
"""

from __future__ import annotations

import asyncio
import socket
import time
import warnings
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

with warnings.catch_warnings():
    # kserve 0.21 still uses FastAPI's ORJSONResponse, at import and at every request.
    warnings.simplefilter("ignore")
    from fastapi.responses import ORJSONResponse  # noqa: F401
    from kserve.protocol.rest.server import RESTServer, _RefreshingServer

from fastapi import FastAPI
from uvicorn import Config

from predictor.metrics import Metrics
from predictor.rest_api.edge import Edge
from predictor.rest_api.error_handlers import add_error_handlers
from predictor.rest_api.routes import Routes

_CLOSE = (b"connection", b"close")


class DrainingServer(_RefreshingServer):  # type: ignore[misc]  # the SDK is untyped
    """uvicorn, which a signal drains before it stops it."""

    def __init__(
        self,
        config: Config,
        drain_seconds: float,
        on_drain: Callable[[], None],
        on_close: Callable[[], Awaitable[None]],
    ) -> None:
        """Takes how long to answer on after a signal, and what else is to be done then.

        Args:
            config: uvicorn's.
            drain_seconds: From the signal until the listener closes.
            on_drain: Told of the signal at once.
            on_close: Ends what is to end together with the listener.
        """
        super().__init__(config)
        self._on_close = on_close
        self._drain_seconds = drain_seconds
        self._on_drain = on_drain
        self._closes_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Starts to drain; the second time, stops."""
        if self._closes_at is None:
            self._closes_at = time.monotonic() + self._drain_seconds
            self._on_drain()
            self._ask_to_close()
        else:
            self._closes_at = 0.0

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second; true when the listener is to close."""
        stop = await super().on_tick(counter)
        if self._closes_at is None:
            return bool(stop)
        self._ask_to_close()  # uvicorn renews the headers every second
        return stop or time.monotonic() >= self._closes_at

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Closes the listener and what ends with it; a signal meanwhile changes nothing."""
        await asyncio.gather(super().shutdown(sockets), self._on_close())

    def _ask_to_close(self) -> None:
        headers = self.server_state.default_headers
        if _CLOSE not in headers:
            self.server_state.default_headers = [*headers, _CLOSE]


class QARestServer(RESTServer):  # type: ignore[misc]
    """The SDK's application with our layers around it and our routes before its own."""

    def __init__(
        self,
        *args: Any,
        host: str,
        routes: Routes,
        metrics: Metrics,
        max_request_bytes: int,
        drain_seconds: float,
        on_drain: Callable[[], None],
        on_close: Callable[[], Awaitable[None]],
        **kwargs: Any,
    ) -> None:
        """Takes the SDK's arguments and ours; see Settings."""
        super().__init__("kserve.model_server:app", *args, **kwargs)
        self.config.host = host
        self._server = DrainingServer(self.config, drain_seconds, on_drain, on_close)
        self._routes = routes
        self._metrics = metrics
        self._max_request_bytes = max_request_bytes

    def _add_middlewares(self, app: FastAPI) -> None:
        # The SDK's would time every request once more, and log it.
        if self.access_log_format:
            super()._add_middlewares(app)
        app.add_middleware(Edge, max_request_bytes=self._max_request_bytes, metrics=self._metrics)

    def _register_endpoints(self, app: FastAPI) -> None:
        self._routes.register(app)
        super()._register_endpoints(app)

    def _add_exception_handlers(self, app: FastAPI) -> None:
        super()._add_exception_handlers(app)
        add_error_handlers(app)
