"""What the page's web server takes and allows: little, and nothing of other hosts."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 256 * 1024
"""Of a request's body: the longest text, every letter of it escaped."""

HEALTH = "/healthz"
_READ = (
    "/assets/", "/static/", "/gradio_api/queue/data", "/gradio_api/heartbeat/", "/gradio_api/info",
    "/gradio_api/startup-events",
)  # fmt: skip
_READ_EXACTLY = (
    "/", HEALTH, "/config", "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt",
)  # fmt: skip
_WRITTEN = ("/gradio_api/queue/join", "/gradio_api/cancel", "/gradio_api/reset")
# Gradio's own scripts are inline, and it makes functions of its templates.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Edge:
    """Refuses what the page does not need, and tells browsers to ask no other host for anything.

    Gradio also serves files, uploads and a proxy, none of which the page has a use for: they are
    404 here. Bodies over MOST_BYTES are 413.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Takes the application behind it."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if not _known(scope):
            await PlainTextResponse("not found\n", 404)(scope, receive, send)
            return
        if scope["method"] == "POST":
            body = await _body(Headers(scope=scope), receive)
            if body is None:
                answer = PlainTextResponse("the request is too large\n", 413)
                await answer(scope, receive, send)
                return
            receive = _again(body, receive)
        await self._app(scope, receive, _with_headers(send))


def _known(scope: MutableMapping[str, Any]) -> bool:
    path, method = scope["path"], scope["method"]
    if method == "POST":
        return path in _WRITTEN
    return method in ("GET", "HEAD") and (path in _READ_EXACTLY or path.startswith(_READ))


async def _body(headers: Headers, receive: Receive) -> bytes | None:
    """The whole body; None where it is too large."""
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > MOST_BYTES:
        return None
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return bytes(body)
        body += message.get("body", b"")
        if len(body) > MOST_BYTES:
            return None
        if not message.get("more_body"):
            return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives the body that was read, then whatever comes after it."""
    left = [body]

    async def given() -> Message:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        return await receive()

    return given


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(_HEADERS)
        await send(message)

    return sent
