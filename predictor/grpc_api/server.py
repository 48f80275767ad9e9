"""KServe's gRPC server with our codec, on a host of our choice, without a log line per call."""

from __future__ import annotations

from collections.abc import Callable
from concurrent import futures
from dataclasses import replace
from typing import Any

from grpc import aio
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc
from kserve.protocol.grpc.server import GRPCServer
from kserve.protocol.grpc.servicer import InferenceServicer
from kserve.protocol.model_repository_extension import ModelRepositoryExtension

from predictor.codecs import INPUTS, OUTPUTS, PLATFORMS
from predictor.grpc_api import v2 as v2_grpc
from predictor.model import QAModel
from predictor.transport import GrpcRefusals


class QAServicer(InferenceServicer):  # type: ignore[misc]  # the SDK is untyped
    """The SDK's servicer, where what concerns the model is ours."""

    def __init__(
        self, model: QAModel, dataplane: DataPlane, repository: ModelRepositoryExtension
    ) -> None:
        """Takes the model, and what the SDK's own methods need."""
        super().__init__(dataplane, repository)
        self._model = model

    async def ModelInfer(
        self, request: pb.ModelInferRequest, context: aio.ServicerContext
    ) -> pb.ModelInferResponse:
        """Answers a request; the client's deadline is its timeout."""
        model = self._model
        model.check(request.model_name, request.model_version)
        spec = model.spec
        call, names = v2_grpc.decode(request, model.parameters, spec.max_seq_length)
        remaining = context.time_remaining()
        if remaining is not None:
            timeout = remaining if call.timeout is None else min(remaining, call.timeout)
            call = replace(call, timeout=max(timeout, 0.0))
        results, timings = await model.answer(call)
        return v2_grpc.encode(request, call, names, results, timings, version=spec.version)

    async def ServerReady(
        self, request: pb.ServerReadyRequest, context: aio.ServicerContext
    ) -> pb.ServerReadyResponse:
        """The server is ready when its model is."""
        return pb.ServerReadyResponse(ready=await self._model.healthy())

    async def ModelReady(
        self, request: pb.ModelReadyRequest, context: aio.ServicerContext
    ) -> pb.ModelReadyResponse:
        """Whether the model takes requests."""
        self._model.check(request.name, request.version)
        return pb.ModelReadyResponse(ready=await self._model.healthy())

    async def ModelMetadata(
        self, request: pb.ModelMetadataRequest, context: aio.ServicerContext
    ) -> pb.ModelMetadataResponse:
        """Name, version and tensors of the model."""
        self._model.check(request.name, request.version)
        spec = self._model.spec
        return pb.ModelMetadataResponse(
            name=self._model.name,
            versions=[str(spec.version)],
            platform=PLATFORMS[spec.format],
            inputs=INPUTS,
            outputs=OUTPUTS,
        )


class QAGrpcServer(GRPCServer):  # type: ignore[misc]
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
            interceptors=(GrpcRefusals(self._outcome),),
            # Without this a second server would silently share the port.
            options=[*options, ("grpc.so_reuseport", 0)],
        )
        grpc_predict_v2_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(
            self._servicer, self._server
        )
        self._server.add_insecure_port(self._address)
        await self._server.start()
        await self._server.wait_for_termination()
