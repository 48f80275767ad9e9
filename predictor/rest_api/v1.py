"""V1, which speaks the words of the Hugging Face pipeline: JSON bodies ↔ calls and results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from predictor.codecs.call import Call, check_count, read_parameters
from predictor.codecs.strings import shown, text
from predictor.errors import InvalidRequest
from predictor.rest_api.body import parse_json
from predictor.types import Question, Result, SpanParameters


def decode(body: bytes, defaults: SpanParameters, max_seq_length: int) -> Call:
    """Reads a request.

    Args:
        body: The whole body.
        defaults: The artifact's span parameters.
        max_seq_length: The model's window in tokens.

    Raises:
        InvalidRequest: It cannot be answered.
        RequestTooLarge: It has too many questions.
    """
    payload = parse_json(body)
    instances = payload.get("instances")
    if not isinstance(instances, list) or not instances:
        raise InvalidRequest('"instances" must be a list with at least one element')
    check_count(len(instances))
    questions = tuple(_instance(i, instance) for i, instance in enumerate(instances))
    given = payload.get("parameters", {})
    if not isinstance(given, dict):
        raise InvalidRequest('"parameters" must be an object')
    return Call(questions, *read_parameters(given, defaults, max_seq_length))


def encode(results: Sequence[Result], top_k: int) -> bytes:
    """The response: one object per instance, or a list of them where top_k > 1."""
    predictions: list[Any] = []
    for result in results:
        answers = [
            {"answer": a.text, "score": a.score, "start": a.start, "end": a.end}
            for a in result.answers
        ]
        predictions.append(answers if top_k > 1 else answers[0])
    return orjson.dumps({"predictions": predictions})


def _instance(index: int, instance: object) -> Question:
    if not isinstance(instance, dict):
        raise InvalidRequest(f"instances[{index}] must be an object with question and context")
    unknown = set(instance) - {"question", "context"}
    if unknown:
        raise InvalidRequest(f"instances[{index}] has an unknown field {shown(min(unknown))}")
    for name in ("question", "context"):
        if name not in instance:
            raise InvalidRequest(f"instances[{index}] has no {name}")
    where = f"instances[{index}]"
    return Question(
        text(instance["question"], f"{where}.question"),
        text(instance["context"], f"{where}.context"),
    )
