"""Sends one shot, waits for its answer or hangs up, and says what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from dataclasses import dataclass
from typing import Any

import grpc

from benchmarks.soak.traffic import Shot
from loadtest.local.servers import HOST

ANSWER_SECONDS = 120.0
NO_ANSWER = 0
"""The status of a shot whose connection broke or whose answer never came."""
HUNG_UP = 499
"""The status of a shot whose client did not wait, as intended."""
_METHOD = "/inference.GRPCInferenceService/ModelInfer"
_HANG_UP_SECONDS = 0.05
_STATUSES = {
    "OK": 200,
    "INVALID_ARGUMENT": 400,
    "NOT_FOUND": 404,
    "CANCELLED": HUNG_UP,
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}


@dataclass(frozen=True)
class Outcome:
    """What came of a shot.

    Attributes:
        shot: The shot.
        status: HTTP's, translated where the shot went over gRPC.
        seconds: From its arrival to its answer.
        retry_after: Whether the answer said when to come back; true for gRPC, which cannot.
        text: The beginning of an answer that is not 200.
        ended: When it was over, on perf_counter's clock.
    """

    shot: Shot
    status: int
    seconds: float
    retry_after: bool = True
    text: str = ""
    ended: float = 0.0


class Sender:
    """Sends shots to one server, REST on a connection each, gRPC on one channel."""

    def __init__(self, port: int, grpc_port: int, seed: int) -> None:
        """Opens the channel; needs a running event loop."""
        self._port = port
        self._channel = grpc.aio.insecure_channel(f"{HOST}:{grpc_port}")
        self._infer = self._channel.unary_unary(_METHOD)
        self._random = random.Random(seed)

    async def close(self) -> None:
        """Closes the channel."""
        await self._channel.close()

    async def send(self, shot: Shot) -> Outcome:
        """Sends a shot; never raises for what the server does."""
        arrived = time.perf_counter()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                send = self._over_grpc if shot.protocol == "grpc" else self._over_rest
                status, retry_after, text = await send(shot)
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            status, retry_after, text = NO_ANSWER, True, repr(error)
        ended = time.perf_counter()
        return Outcome(shot, status, ended - arrived, retry_after, text, ended)

    async def _over_rest(self, shot: Shot) -> tuple[int, bool, str]:
        reader, writer = await asyncio.open_connection(HOST, self._port)
        try:
            if shot.kind.startswith("hang-up"):
                midway = shot.kind == "hang-up-midway"
                payload = shot.payload[: len(shot.payload) // 2] if midway else shot.payload
                writer.write(payload)
                await writer.drain()
                await asyncio.sleep(self._random.uniform(0, _HANG_UP_SECONDS))
                return HUNG_UP, True, ""
            writer.write(shot.payload)
            # A server may refuse, and close, before it has read all.
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:-2])
            body = await reader.readexactly(int(headers["content-length"]))
            status = int(head[0].split()[1])
            text = "" if status == 200 else body[:200].decode("utf-8", "replace")
            return status, "retry-after" in headers, text
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _over_grpc(self, shot: Shot) -> tuple[int, bool, str]:
        call: Any = self._infer(shot.payload, timeout=shot.deadline)
        if shot.kind.startswith("hang-up"):
            midway = shot.kind == "hang-up-midway"
            await asyncio.sleep(0 if midway else self._random.uniform(0, _HANG_UP_SECONDS))
            call.cancel()
            with contextlib.suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
                await call
            return HUNG_UP, True, ""
        try:
            await call
        except grpc.aio.AioRpcError as error:
            return _STATUSES.get(error.code().name, 500), True, str(error.details())[:200]
        return 200, True, ""
