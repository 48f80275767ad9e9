"""The outermost layer of the REST server, which the SDK has no equivalent of.

It bounds bodies, counts how inference requests end, and ends those whose client has hung up.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from predictor.errors import RequestTooLarge
from predictor.metrics import Metrics

logger = logging.getLogger(__name__)

# A client that is still sending would not read an answer: this much more is read and dropped.
_PATIENCE = 8
HUNG_UP = 499  # nobody's standard, everybody's habit: the client closed before the answer


def protocol_of(path: str) -> str | None:
    """The protocol of an inference path, None for any other path."""
    if path.startswith("/v2/") and path.endswith("/infer"):
        return "v2-rest"
    if path.startswith("/v1/") and path.endswith(":predict"):
        return "v1"
    return None


class Edge:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, *, max_request_bytes: int, metrics: Metrics) -> None:
        """Takes the application, the largest body in bytes, and who counts."""
        self._app = app
        self._max_request_bytes = max_request_bytes
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes everything on, seeing what comes and goes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        protocol = protocol_of(scope["path"])
        exchange = _Exchange(receive, send, self._max_request_bytes, watched=protocol is not None)
        if protocol is None:
            await self._app(scope, exchange.receive, exchange.send)
            return
        started = time.perf_counter()
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            pass  # in the middle of its body: nobody is left to be told
        except BaseException as error:  # what makes a 500 of it lies around this layer
            if not (exchange.hung_up and isinstance(error, asyncio.CancelledError)):
                exchange.fail()
                raise
        finally:
            exchange.close()
            self._metrics.outcome(protocol, str(exchange.status))
            if logger.isEnabledFor(logging.DEBUG):
                milliseconds = round((time.perf_counter() - started) * 1e3, 3)
                fields = {"path": scope["path"], "status": exchange.status, "ms": milliseconds}
                logger.debug("request", extra=fields)


class _Exchange:
    """One request and its response."""

    def __init__(
        self, receive: Receive, send: Send, max_request_bytes: int, *, watched: bool
    ) -> None:
        self.status = HUNG_UP
        self.hung_up = False
        self._receive = receive
        self._send = send
        self._max_request_bytes = max_request_bytes
        self._received = 0
        self._watched = watched
        self._watcher: asyncio.Task[None] | None = None

    async def receive(self) -> Message:
        """The next part of the body; raises RequestTooLarge."""
        message = await self._receive()
        self._received += len(message.get("body", b""))
        if self._received > self._max_request_bytes:
            await self._drop_the_rest(message)
            raise RequestTooLarge(f"the body is larger than {self._max_request_bytes} bytes")
        if self._watched and self._watcher is None and not message.get("more_body"):
            task = asyncio.current_task()
            self._watcher = asyncio.get_running_loop().create_task(self._watch(task))
        return message

    async def send(self, message: Message) -> None:
        """The next part of the response."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)

    def fail(self) -> None:
        """Notes that the application did not end as it should."""
        if self.status == HUNG_UP:
            self.status = 500

    def close(self) -> None:
        """Stops watching for the client to hang up."""
        if self._watcher is not None:
            self._watcher.cancel()

    async def _drop_the_rest(self, message: Message) -> None:
        while message.get("more_body") and self._received <= _PATIENCE * self._max_request_bytes:
            message = await self._receive()
            self._received += len(message.get("body", b""))

    async def _watch(self, task: asyncio.Task[object] | None) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            message = await self._receive()
            if message["type"] == "http.disconnect" and self.status == HUNG_UP and task:
                self.hung_up = True
                task.cancel()
