"""REST: V2 to the letter, V1 for this model, and the artifact's description.

KServe's own V2 routes refuse every version, fill absent members with null (which the protocol's
schema does not allow), decode a body three times, and take JSON only with the right content type.
These come before them on the same app; what they do not answer, KServe's do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from predictor.codecs.v2 import INPUTS, OUTPUTS, PLATFORMS
from predictor.errors import InvalidRequest, NotReady
from predictor.model import QAModel
from predictor.rest_api import v1, v2
from predictor.rest_api.body import inflate


class Routes:
    """The REST endpoints of one model."""

    def __init__(self, model: QAModel, folder: Path, max_request_bytes: int) -> None:
        """Takes the model, the artifact's folder, and the largest body once it is inflated."""
        self._model = model
        self._folder = folder
        self._max_request_bytes = max_request_bytes

    def register(self, app: FastAPI) -> None:
        """Adds the routes, V2 with and without version; routes added later do not replace them."""
        routes = app.router.routes
        for prefix in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
            routes.append(Route(f"{prefix}/infer", self.infer, methods=["POST"]))
            routes.append(Route(f"{prefix}/ready", self.ready, methods=["GET"]))
            routes.append(Route(prefix, self.metadata, methods=["GET"]))
        routes.append(Route("/v2/models/{model}/artifact", self.artifact, methods=["GET"]))
        routes.append(Route("/v2/health/ready", self.server_ready, methods=["GET"]))
        routes.append(Route("/v1/models/{model}:predict", self.predict, methods=["POST"]))
        # The SDK would log a traceback for every name that it does not know.
        routes.append(Route("/v1/models/{model}", self.ready, methods=["GET"]))
        # The SDK would answer with 501 and speak of a host that it could not find.
        routes.append(Route("/v1/models/{model}:explain", self.explain, methods=["POST"]))

    async def infer(self, request: Request) -> Response:
        """Answers a V2 request, JSON or with binary tensors."""
        self._check(request)
        model = self._model
        decoded = v2.decode(
            await self._body(request),
            request.headers.get(v2.BINARY_HEADER),
            model.parameters,
            model.spec.max_seq_length,
        )
        results, timings = await model.answer(decoded.call)
        content, headers = v2.encode(decoded, results, model=model.name, version=model.spec.version)
        headers["server-timing"] = timings.server_timing()
        return Response(content, headers=headers)

    async def predict(self, request: Request) -> Response:
        """Answers a V1 request, whatever its content type."""
        self._check(request)
        model = self._model
        call = v1.decode(await self._body(request), model.parameters, model.spec.max_seq_length)
        results, timings = await model.answer(call)
        headers = {
            "content-type": "application/json",
            "server-timing": timings.server_timing(),
        }
        return Response(v1.encode(results, call.parameters.top_k), headers=headers)

    async def explain(self, request: Request) -> Response:
        """V1's explanations, which the model has none of; raises InvalidRequest."""
        self._check(request)
        raise InvalidRequest(f"model {self._model.name} has no explanations")

    async def metadata(self, request: Request) -> Response:
        """Name, version and tensors of the model."""
        self._check(request)
        spec = self._model.spec
        return _json(
            {
                "name": self._model.name,
                "versions": [str(spec.version)],
                "platform": PLATFORMS[spec.format],
                "inputs": INPUTS,
                "outputs": OUTPUTS,
            }
        )

    async def ready(self, request: Request) -> Response:
        """200 where the model takes requests; 503 where it drains or misses its remote."""
        self._check(request)
        if not await self._model.healthy():
            raise NotReady(f"model {self._model.name} is not ready")
        return _json({"name": self._model.name, "ready": True})

    async def server_ready(self, _: Request) -> Response:
        """The server is ready when its model is."""
        if not await self._model.healthy():
            raise NotReady("the server is not ready")
        return _json({"ready": True})

    async def artifact(self, request: Request) -> Response:
        """The served artifact's description and, where it has one, its journey report."""
        self._check(request)
        report = self._folder / "report.json"
        return _json(
            {
                "artifact": self._model.spec.model_dump(mode="json"),
                "report": orjson.loads(report.read_bytes()) if report.is_file() else None,
            }
        )

    async def _body(self, request: Request) -> bytes:
        encoding = request.headers.get("content-encoding")
        return inflate(await request.body(), encoding, self._max_request_bytes)

    def _check(self, request: Request) -> None:
        path = request.path_params
        self._model.check(path["model"], path.get("version"))


def _json(content: dict[str, Any]) -> Response:
    body = orjson.dumps({name: value for name, value in content.items() if value is not None})
    return Response(body, media_type="application/json")
