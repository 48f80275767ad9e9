"""KServe's gRPC server on a host of our choice, without a log line per call."""

from __future__ import annotations

from collections.abc import Callable
from concurrent import futures
from typing import Any

from grpc import aio
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc
from kserve.protocol.grpc.server import GRPCServer

from predictor.grpc_api.interceptor import Refusals
from predictor.grpc_api.servicer import QAServicer


class QAGrpcServer(GRPCServer):  # type: ignore[misc]  # the SDK is untyped
    """Listens where it is told, and alone: another server cannot share its port."""

    def __init__(
        self,
        servicer: QAServicer,
        address: str,
        *,
        outcome: Callable[[str, str], None],
        limits: dict[str, int],
        grace_period: int,
    ) -> None:
        """Takes the servicer and where to listen.

        Args:
            servicer: What answers.
            address: Host and port.
            outcome: Told of the protocol and status of every request.
            limits: Of messages in bytes, by the SDK's flags.
            grace_period: Seconds that calls in flight have when the server stops.
        """
        self._servicer = servicer
        self._address = address
        self._outcome = outcome
        self._limits = limits
        self._grace_period = grace_period
        self._server: Any = None

    async def start(self, max_workers: int) -> None:
        """Serves until it is stopped."""
        options = [
            (f"grpc.{name}", self._limits[f"grpc_{name}"])
            for name in ("max_send_message_length", "max_receive_message_length")
        ]
        self._server = aio.server(
            futures.ThreadPoolExecutor(max_workers=max_workers),
            interceptors=(Refusals(self._outcome),),
            # Without this a second server would silently share the port.
            options=[*options, ("grpc.so_reuseport", 0)],
        )
        grpc_predict_v2_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(
            self._servicer, self._server
        )
        self._server.add_insecure_port(self._address)
        await self._server.start()
        await self._server.wait_for_termination()
