"""A bound on REST request bodies; KServe's server has none."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from predictor.errors import RequestTooLarge
from predictor.transport import TransportError

# A client that is still sending would not read an answer: this much more is read and dropped.
_PATIENCE = 8


class BodyLimit:
    """ASGI middleware: a body over the limit is refused, whether its length is announced or not."""

    def __init__(self, app: ASGIApp, max_request_bytes: int) -> None:
        """Takes the application and the limit in bytes."""
        self._app = app
        self._max_request_bytes = max_request_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes everything on, counting the body of a request."""
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received <= self._max_request_bytes:
                return message
            while message.get("more_body") and received <= _PATIENCE * self._max_request_bytes:
                message = await receive()
                received += len(message.get("body", b""))
            raise TransportError(
                RequestTooLarge(f"the body is larger than {self._max_request_bytes} bytes")
            )

        await self._app(scope, counted if scope["type"] == "http" else receive, send)
