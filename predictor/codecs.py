"""Requests and responses of V1 and V2 ↔ questions and results; no transport.

V2 inputs: `question` BYTES [n] or [n, 1]; `context` BYTES [n], [n, 1] or [1], shared by all.
V2 outputs: `answer` BYTES, `score` FP32, `start` and `end` INT64, each [n, top_k];
`null_score_diff` FP32 [n]; `sequence_length` INT64 [n].
V1 speaks the words of the Hugging Face pipeline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import orjson

from predictor.errors import InvalidRequest, RequestTooLarge
from predictor.tensors import Tensor, shown, text
from predictor.types import Answer, Question, Result, SpanParameters

INPUTS: list[dict[str, Any]] = [
    {"name": "question", "datatype": "BYTES", "shape": [-1]},
    {"name": "context", "datatype": "BYTES", "shape": [-1]},
]
OUTPUTS: list[dict[str, Any]] = [
    {"name": "answer", "datatype": "BYTES", "shape": [-1, -1]},
    {"name": "score", "datatype": "FP32", "shape": [-1, -1]},
    {"name": "start", "datatype": "INT64", "shape": [-1, -1]},
    {"name": "end", "datatype": "INT64", "shape": [-1, -1]},
    {"name": "null_score_diff", "datatype": "FP32", "shape": [-1]},
    {"name": "sequence_length", "datatype": "INT64", "shape": [-1]},
]
PLATFORMS = {"onnx": "onnxruntime_onnx", "torch": "pytorch_safetensors"}
OUTPUT_NAMES = tuple(str(output["name"]) for output in OUTPUTS)
# Parameters of the protocol and of Triton's clients that mean nothing to a stateless model.
_IGNORED = {"binary_data_output", "priority", "sequence_id", "sequence_start", "sequence_end"}
# Texts are checked on the event loop: more of them would keep it from everybody else for seconds.
MOST_QUESTIONS = 16384
_OWN = ("top_k", "max_answer_length", "null_score_diff_threshold", "timeout")


@dataclass(frozen=True, slots=True)
class Call:
    """A decoded request.

    Attributes:
        questions: At least one.
        parameters: The artifact's span parameters with the request's own laid over them.
        timeout: Seconds within which its runs must have started, or None.
    """

    questions: tuple[Question, ...]
    parameters: SpanParameters
    timeout: float | None


def decode_v2(
    tensors: Sequence[Tensor],
    parameters: Mapping[str, Any],
    defaults: SpanParameters,
    max_seq_length: int,
) -> Call:
    """Reads a V2 request of any transport; raises InvalidRequest or RequestTooLarge."""
    columns: dict[str, Tensor] = {}
    for tensor in tensors:
        if tensor.name not in ("question", "context"):
            raise InvalidRequest(
                f"unknown input {shown(tensor.name)}; inputs are question and context"
            )
        if tensor.name in columns:
            raise InvalidRequest(f"input {tensor.name!r} is given twice")
        columns[tensor.name] = tensor
    for name in ("question", "context"):
        if name not in columns:
            raise InvalidRequest(f"input {name!r} is missing")
        _check_count(len(columns[name].values))
    questions, contexts = (
        [text(value, f"{name}[{i}]") for i, value in enumerate(columns[name].values)]
        for name in ("question", "context")
    )
    if len(contexts) == 1:
        contexts = contexts * len(questions)
    if len(questions) != len(contexts):
        raise InvalidRequest(
            f"{len(questions)} questions but {len(contexts)} contexts; "
            "give one context for each question, or one for all"
        )
    pairs = tuple(map(Question, questions, contexts))
    return Call(pairs, *_parameters(parameters, defaults, max_seq_length))


def decode_v1(body: bytes, defaults: SpanParameters, max_seq_length: int) -> Call:
    """Reads a V1 request; raises InvalidRequest or RequestTooLarge."""
    payload = parse_json(body)
    instances = payload.get("instances")
    if not isinstance(instances, list) or not instances:
        raise InvalidRequest('"instances" must be a list with at least one element')
    _check_count(len(instances))
    questions = tuple(_instance(i, instance) for i, instance in enumerate(instances))
    given = payload.get("parameters", {})
    if not isinstance(given, dict):
        raise InvalidRequest('"parameters" must be an object')
    return Call(questions, *_parameters(given, defaults, max_seq_length))


def parse_json(body: bytes | memoryview) -> dict[str, Any]:
    """The object that a body holds; raises InvalidRequest."""
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"the body is not JSON: {error}") from error
    if not isinstance(payload, dict):
        raise InvalidRequest("the body must be a JSON object")
    return payload


def check_outputs(names: Sequence[object]) -> tuple[str, ...]:
    """The names of requested outputs, each once, or all; raises InvalidRequest."""
    asked: dict[str, None] = {}
    for index, name in enumerate(names):
        if not isinstance(name, str):
            raise InvalidRequest(f"outputs[{index}] must have a name")
        if name not in OUTPUT_NAMES:
            raise InvalidRequest(
                f"unknown output {shown(name)}; outputs are {', '.join(OUTPUT_NAMES)}"
            )
        asked[name] = None
    return tuple(asked) or OUTPUT_NAMES


def encode_v2(results: Sequence[Result], top_k: int, names: Sequence[str]) -> list[Tensor]:
    """The outputs of those names; slots without a candidate hold "", 0.0, -1 and -1."""
    blank = Answer("", 0.0, -1, -1)
    answers = [
        answer
        for result in results
        for answer in (*result.answers, *[blank] * (top_k - len(result.answers)))
    ]
    wide, narrow = (len(results), top_k), (len(results),)
    tensors = []
    for name in names:
        if name == "answer":
            tensors.append(Tensor(name, "BYTES", wide, [a.text for a in answers]))
        elif name == "score":
            tensors.append(Tensor(name, "FP32", wide, _fp32([a.score for a in answers])))
        elif name == "start":
            tensors.append(Tensor(name, "INT64", wide, [a.start for a in answers]))
        elif name == "end":
            tensors.append(Tensor(name, "INT64", wide, [a.end for a in answers]))
        elif name == "null_score_diff":
            differences = [result.null_score_diff for result in results]
            tensors.append(Tensor(name, "FP32", narrow, _fp32(differences)))
        else:
            lengths = [result.sequence_length for result in results]
            tensors.append(Tensor(name, "INT64", narrow, lengths))
    return tensors


def encode_v1(results: Sequence[Result], top_k: int) -> bytes:
    """The V1 response: one object per instance, or a list of them where top_k > 1."""
    predictions: list[Any] = []
    for result in results:
        answers = [
            {"answer": a.text, "score": a.score, "start": a.start, "end": a.end}
            for a in result.answers
        ]
        predictions.append(answers if top_k > 1 else answers[0])
    return orjson.dumps({"predictions": predictions})


def _check_count(questions: int) -> None:
    if questions > MOST_QUESTIONS:
        raise RequestTooLarge(
            f"the request has {questions} questions; at most {MOST_QUESTIONS} are taken"
        )


def _fp32(values: Sequence[float]) -> list[float]:
    """What is left of the values in the datatype that the metadata promises."""
    rounded: list[float] = np.array(values, dtype=np.float32).tolist()
    return rounded


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


def _parameters(
    given: Mapping[str, Any], defaults: SpanParameters, max_seq_length: int
) -> tuple[SpanParameters, float | None]:
    if not given:
        return defaults, None
    unknown = set(given) - _IGNORED - set(_OWN)
    if unknown:
        raise InvalidRequest(
            f"unknown parameter {shown(min(unknown))}; known are {', '.join(_OWN)}"
        )
    for name, value in given.items():
        if value is None:
            raise InvalidRequest(f"parameter {name} has no value")
    changes: dict[str, Any] = {}
    if "top_k" in given:
        changes["top_k"] = _integer(given, "top_k", defaults.n_best_size)
    if "max_answer_length" in given:
        changes["max_answer_length"] = _integer(given, "max_answer_length", max_seq_length)
    if "null_score_diff_threshold" in given:
        changes["null_score_diff_threshold"] = _number(given, "null_score_diff_threshold")
    timeout = _integer(given, "timeout", 2**63) / 1e6 if "timeout" in given else None
    return replace(defaults, **changes), timeout


def _integer(given: Mapping[str, Any], name: str, most: int) -> int:
    value = _number(given, name)
    if value != int(value) or not 1 <= value <= most:
        raise InvalidRequest(f"parameter {name} must be a whole number from 1 to {most}")
    return int(value)


def _number(given: Mapping[str, Any], name: str) -> float:
    value = given[name]
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError
        number = float(value)
        if not np.isfinite(number):
            raise ValueError
    except (ValueError, OverflowError) as error:
        raise InvalidRequest(f"parameter {name} must be a finite number") from error
    return number
