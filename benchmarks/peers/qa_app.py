"""What the FastAPI peers share: the app that a tutorial would write around a pipeline.

It speaks KServe's V1 protocol, so that the load test can ask it. The endpoint is a plain function,
which FastAPI runs on a thread of its pool; nothing is batched.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

NAME = "qa"

Pipeline = Callable[..., Any]
"""A `question-answering` pipeline of transformers."""


class Instance(BaseModel):
    """One question."""

    question: str
    context: str


class Body(BaseModel):
    """A request of the V1 protocol."""

    instances: list[Instance]


def make_app(answer: Pipeline) -> FastAPI:
    """The app: the model's readiness, and answers."""
    app = FastAPI(openapi_url=None)

    def ready() -> dict[str, Any]:
        return {"name": NAME, "ready": True}

    def predict(body: Body) -> dict[str, Any]:
        found = [answer(question=one.question, context=one.context) for one in body.instances]
        return {"predictions": found}

    app.add_api_route(f"/v1/models/{NAME}", ready, methods=["GET"])
    app.add_api_route(f"/v1/models/{NAME}:predict", predict, methods=["POST"])
    return app


def serve(name: str, load: Callable[[str, int], Pipeline]) -> None:
    """Serves on loopback until a signal; `load` takes the checkpoint and the longest sequence."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.peers.{name}")
    parser.add_argument("--model", required=True, help="folder of the checkpoint")
    parser.add_argument("--max-length", type=int, required=True, help="tokens of one window")
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    app = make_app(load(arguments.model, arguments.max_length))
    uvicorn.run(app, host="127.0.0.1", port=arguments.port, log_level="warning", access_log=False)
