"""The real REST application in process, driven as uvicorn drives it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import pytest
from fastapi import FastAPI
from kserve import model_server
from prometheus_client import CollectorRegistry

from predictor.metrics import Metrics
from predictor.rest_api.routes import Routes
from predictor.rest_api.server import QARestServer
from predictor.server import QAServer
from predictor.settings import Settings
from predictor.startup import load_model

SECONDS = 10  # a request that takes longer hangs


@dataclass(frozen=True)
class Request:
    """What a client sends.

    Attributes:
        target: Path and query as they are on the wire.
        parts: The body as it comes in.
        hangs_up: Whether the client is gone after these parts, before the body's end.
    """

    method: str
    target: str
    parts: Sequence[bytes] = (b"",)
    headers: Sequence[tuple[str, str]] = ()
    hangs_up: bool = False


@dataclass
class Response:
    """What it gets; the status is 0 where nothing came."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes = b""
    ended: bool = False


class Tracebacks(logging.Handler):
    """Keeps what is logged with a traceback: what was taken for a defect."""

    def __init__(self) -> None:
        """Keeps nothing yet."""
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Looks at a record."""
        if record.exc_info:
            self.messages.append(f"{record.getMessage()} {record.exc_info[1]!r}")


class Client:
    """Sends requests to an application, one at a time."""

    def __init__(self, app: FastAPI, registry: CollectorRegistry, runner: asyncio.Runner) -> None:
        """Takes the application, where it counts, and what runs it."""
        self.registry = registry
        self.tracebacks = Tracebacks()
        self._app = app
        self._runner = runner

    def send(self, request: Request) -> Response:
        """The response; raises what the application raises, TimeoutError where it hangs."""
        self.tracebacks.messages.clear()
        return self._runner.run(asyncio.wait_for(self._exchange(request), SECONDS))

    async def _exchange(self, request: Request) -> Response:
        response, answered = Response(), asyncio.Event()
        last = len(request.parts) - 1
        incoming = [
            {"type": "http.request", "body": part, "more_body": n < last or request.hangs_up}
            for n, part in enumerate(request.parts)
        ]

        async def receive():
            if incoming:
                return incoming.pop(0)
            if not request.hangs_up:
                await answered.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            if message["type"] == "http.response.start":
                assert not response.status, "a second response"
                response.status = message["status"]
                response.headers = {k.decode(): v.decode() for k, v in message["headers"]}
                return
            assert response.status, "a body before its response"
            assert not response.ended, "more after the end"
            response.content += message.get("body", b"")
            response.ended = not message.get("more_body")
            if response.ended:
                answered.set()

        await self._app(_scope(request), receive, send)
        return response


@contextlib.contextmanager
def application(folder: Path, session: str) -> Iterator[Client]:
    """A client of an application of its own, made as a server makes it."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    settings = Settings(model_dir=folder, session=session, request_timeout=SECONDS / 2)
    model = load_model("qa", settings, metrics)
    the_sdks = model_server.app
    app = FastAPI(
        title=the_sdks.title,
        docs_url=None,
        redoc_url=None,
        default_response_class=the_sdks.router.default_response_class,
    )
    with pytest.MonkeyPatch.context() as patch, asyncio.Runner() as runner:
        patch.setattr(model_server, "app", app)  # the SDK's own is for one server in a process
        patch.setattr(model_server.args, "configure_logging", False)
        server = QAServer(settings, metrics)
        server.register_model(model)
        QARestServer(
            server.dataplane,
            server.model_repository_extension,
            0,
            host=settings.host,
            routes=Routes(model, folder, settings.max_request_bytes),
            metrics=metrics,
            max_request_bytes=settings.max_request_bytes,
            drain_seconds=0.0,
            on_drain=lambda: None,
            on_close=asyncio.Event().wait,
        ).create_application()
        client = Client(app, registry, runner)
        logging.getLogger().addHandler(client.tracebacks)
        try:
            yield client
        finally:
            logging.getLogger().removeHandler(client.tracebacks)
            model.stop()


def _scope(request: Request) -> dict[str, object]:
    path, _, query = request.target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in request.headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8080),
        "state": {},
    }
