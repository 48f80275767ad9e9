"""V2 over REST, to the letter: the served version in the path, and no explicit nulls.

KServe's own V2 routes refuse every version, fill absent members with null (which the protocol's
schema does not allow) and send binary tensors without content type. These take their place, on
the same app and the same data plane.
"""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from kserve.constants.constants import PredictorProtocol
from kserve.protocol.dataplane import DataPlane

from predictor.codecs import INPUTS, OUTPUTS
from predictor.errors import ModelNotServed, NotReady
from predictor.model import QAModel
from predictor.transport import TransportError

_PLATFORMS = {"onnx": "onnxruntime_onnx", "torch": "pytorch_safetensors"}


class V2Routes:
    """The V2 endpoints of one model."""

    def __init__(self, model: QAModel, dataplane: DataPlane) -> None:
        """Takes the model and the data plane that decodes, answers and encodes."""
        self._model = model
        self._dataplane = dataplane

    def register(self, app: FastAPI) -> None:
        """Adds the routes, with and without version; routes added later do not replace them."""
        for prefix in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
            app.add_api_route(prefix, self.metadata, methods=["GET"])
            app.add_api_route(f"{prefix}/ready", self.ready, methods=["GET"])
            app.add_api_route(f"{prefix}/infer", self.infer, methods=["POST"])

    async def metadata(self, model: str, version: str | None = None) -> Response:
        """Name, version and tensors of the model."""
        self._check(model, version)
        spec = self._model.engine_spec
        return _json(
            {
                "name": model,
                "versions": [str(spec.version)],
                "platform": _PLATFORMS[spec.format],
                "inputs": INPUTS,
                "outputs": OUTPUTS,
            }
        )

    async def ready(self, model: str, version: str | None = None) -> Response:
        """200 where the model takes requests, 503 where it does not."""
        self._check(model, version)
        if not await self._model.healthy():
            raise TransportError(NotReady(f"model {model} is not ready"))
        return _json({"name": model, "ready": True})

    async def infer(self, request: Request, model: str, version: str | None = None) -> Response:
        """Answers an inference request, JSON or with binary tensors."""
        await self.ready(model, version)
        headers = dict(request.headers)
        body, _ = self._dataplane.decode(
            await request.body(),
            headers,
            protocol_version=PredictorProtocol.REST_V2.value,
            model_name=model,
        )
        response, response_headers = await self._dataplane.infer(
            model_name=model, request=body, headers=headers
        )
        content, encoded_headers = self._dataplane.encode(
            model_name=model, response=response, headers={}, req_attributes={}
        )
        response_headers |= encoded_headers
        if isinstance(content, bytes):
            return Response(
                content, headers=response_headers, media_type="application/octet-stream"
            )
        return _json(content, response_headers)

    def _check(self, model: str, version: str | None) -> None:
        if model != self._model.name:
            raise TransportError(ModelNotServed(f"Model with name {model} does not exist."))
        served = self._model.engine_spec.version
        if version is not None and version != str(served):
            raise TransportError(
                ModelNotServed(f"version {version} of {model} is not served; {served} is")
            )


def _json(content: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    body = orjson.dumps({name: value for name, value in content.items() if value is not None})
    return Response(body, headers=headers, media_type="application/json")
