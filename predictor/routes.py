"""V2 over REST, to the letter: the served version in the path, and no explicit nulls.

KServe's own V2 routes refuse every version, fill absent members with null (which the protocol's
schema does not allow) and send binary tensors without content type. These take their place, on
the same app and the same data plane.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from kserve.constants.constants import PredictorProtocol
from kserve.protocol.dataplane import DataPlane

from predictor.codecs import INPUTS, OUTPUTS
from predictor.errors import NotReady, PredictorError
from predictor.model import QAModel
from predictor.transport import TransportError

_PLATFORMS = {"onnx": "onnxruntime_onnx", "torch": "pytorch_safetensors"}


class V2Routes:
    """The V2 endpoints of one model."""

    def __init__(self, model: QAModel, dataplane: DataPlane, folder: Path) -> None:
        """Takes the model, the data plane that decodes and encodes, and the artifact's folder."""
        self._model = model
        self._dataplane = dataplane
        self._folder = folder

    def register(self, app: FastAPI) -> None:
        """Adds the routes, with and without version; routes added later do not replace them."""
        for prefix in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
            app.add_api_route(prefix, self.metadata, methods=["GET"])
            app.add_api_route(f"{prefix}/ready", self.ready, methods=["GET"])
            app.add_api_route(f"{prefix}/infer", self.infer, methods=["POST"])
        app.add_api_route("/v2/models/{model}/artifact", self.artifact, methods=["GET"])

    async def metadata(self, model: str, version: str | None = None) -> Response:
        """Name, version and tensors of the model."""
        await self._check(model, version)
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
        await self._require_ready(model, version)
        return _json({"name": model, "ready": True})

    async def infer(self, request: Request, model: str, version: str | None = None) -> Response:
        """Answers an inference request, JSON or with binary tensors."""
        await self._require_ready(model, version)
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

    async def artifact(self, model: str) -> Response:
        """The served artifact's description and, where it has one, its journey report."""
        await self._check(model, None)
        report = self._folder / "report.json"
        return _json(
            {
                "artifact": self._model.engine_spec.model_dump(mode="json"),
                "report": orjson.loads(report.read_bytes()) if report.is_file() else None,
            }
        )

    async def _require_ready(self, model: str, version: str | None) -> None:
        if not await self._check(model, version):
            raise TransportError(NotReady(f"model {model} is not ready"))

    async def _check(self, model: str, version: str | None) -> bool:
        """Whether the model is ready; raises TransportError for another name or version."""
        ready = await self._dataplane.model_ready(model)
        try:
            self._model.check_version(version)
        except PredictorError as error:
            raise TransportError(error) from error
        return bool(ready)


def _json(content: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    body = orjson.dumps({name: value for name, value in content.items() if value is not None})
    return Response(body, headers=headers, media_type="application/json")
