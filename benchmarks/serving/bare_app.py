"""The least that can serve the same answers: FastAPI, uvicorn, orjson, and the Engine inline.

What the predictor adds to this is KServe's protocols, validation, admission and batching. The app
checks nothing, and blocks its event loop while the model runs, which no real server may do; with a
session that costs nothing it is the fastest honest comparison.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import orjson
import uvicorn
from fastapi import FastAPI, Request, Response

from loadtest.local.servers import HOST
from predictor.engine import Engine
from predictor.types import Question, Result


def make_app(engine: Engine) -> FastAPI:
    """The app: the model's readiness and V2 inference, JSON only."""
    app = FastAPI(openapi_url=None)
    parameters = engine.parameters
    version = str(engine.spec.version)

    async def ready() -> Response:
        return Response(b'{"name":"qa","ready":true}', media_type="application/json")

    async def infer(request: Request) -> Response:
        body = orjson.loads(await request.body())
        columns = {tensor["name"]: tensor["data"] for tensor in body["inputs"]}
        pairs = zip(columns["question"], columns["context"], strict=True)
        questions = [Question(question, context) for question, context in pairs]
        features = engine.prepare(questions)
        results = engine.extract(questions, features, engine.run(features), parameters)
        content = {
            "model_name": "qa",
            "model_version": version,
            "id": body.get("id"),
            "outputs": _outputs(results),
        }
        return Response(orjson.dumps(content), media_type="application/json")

    app.add_api_route("/v2/models/qa/ready", ready, methods=["GET"])
    app.add_api_route("/v2/models/qa/infer", infer, methods=["POST"])
    return app


def _outputs(results: list[Result]) -> list[dict[str, Any]]:
    count, top = len(results), len(results[0].answers)
    answers = [answer for result in results for answer in result.answers]
    return [
        _tensor("answer", "BYTES", [count, top], [answer.text for answer in answers]),
        _tensor("score", "FP32", [count, top], [answer.score for answer in answers]),
        _tensor("start", "INT64", [count, top], [answer.start for answer in answers]),
        _tensor("end", "INT64", [count, top], [answer.end for answer in answers]),
        _tensor("null_score_diff", "FP32", [count], [r.null_score_diff for r in results]),
        _tensor("sequence_length", "INT64", [count], [r.sequence_length for r in results]),
    ]


def _tensor(name: str, datatype: str, shape: list[int], data: list[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def main() -> None:
    """Serves until a signal; uvicorn picks uvloop and httptools where they are installed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving.bare_app", description=__doc__
    )
    parser.add_argument("--model_dir", type=Path, required=True)
    parser.add_argument("--session", required=True)
    parser.add_argument("--http_port", type=int, required=True)
    arguments = parser.parse_args()
    engine = Engine.load(arguments.model_dir, session=arguments.session)
    engine.warm_up()
    uvicorn.run(
        make_app(engine), host=HOST, port=arguments.http_port, log_level="warning", access_log=False
    )


if __name__ == "__main__":
    main()
