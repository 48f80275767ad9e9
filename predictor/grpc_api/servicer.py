"""KServe's gRPC servicer, where what concerns the model is ours."""

from __future__ import annotations

from dataclasses import replace

from grpc import aio
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.servicer import InferenceServicer
from kserve.protocol.model_repository_extension import ModelRepositoryExtension

from predictor.codecs.v2 import INPUTS, OUTPUTS, PLATFORMS
from predictor.grpc_api import v2
from predictor.model import QAModel


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
        call, names = v2.decode(request, model.parameters, spec.max_seq_length)
        remaining = context.time_remaining()
        if remaining is not None:
            timeout = remaining if call.timeout is None else min(remaining, call.timeout)
            call = replace(call, timeout=max(timeout, 0.0))
        results, timings = await model.answer(call)
        return v2.encode(request, call, names, results, timings, version=spec.version)

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
