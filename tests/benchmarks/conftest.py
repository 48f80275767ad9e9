"""A small HTTP server whose answers a test writes, and that keeps what it was sent."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from loadtest.local.servers import HOST


def ok(body=b"{}", headers=b""):
    """The bytes of a 200."""
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n%s\r\n%s" % (len(body), headers, body)


class SmallServer:
    """Answers every request with `answer(body)`: parts that are written one after the other.

    Attributes:
        bodies: What was received, complete.
        cut: Requests whose client left before they were complete.
        most_at_once: The most requests that waited for an answer at the same time.
        connections: How many were opened.
        close_after_answer: Whether a connection is closed with its first answer.
    """

    def __init__(self, answer):
        self.answer = answer
        self.bodies = []
        self.cut = 0
        self.most_at_once = 0
        self.port = 0
        self.connections = 0
        self.close_after_answer = False
        self._waiting = 0
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self):
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _serve(self):
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connected, HOST, 0)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()

    async def _connected(self, reader, writer):
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await self._answer(reader, writer, head)
                if self.close_after_answer:
                    break
        writer.close()

    async def _answer(self, reader, writer, head):
        length = next(
            (int(h[15:]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length")), 0
        )
        try:
            body = await reader.readexactly(length)
        except asyncio.IncompleteReadError:
            self.cut += 1
            raise
        self.bodies.append(body)
        self._waiting += 1
        self.most_at_once = max(self.most_at_once, self._waiting)
        # Lets every client that has something to send, send it.
        await asyncio.sleep(0.01)
        for part in self.answer(body):
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        self._waiting -= 1


@pytest.fixture
def serve():
    """Starts small servers: `serve(answer)`, which by default is one 200."""
    with contextlib.ExitStack() as stack:
        yield lambda answer=lambda _: [ok()]: stack.enter_context(SmallServer(answer))
