"""KServe's V1 dict and V2 InferRequest ↔ questions and results.

V2 inputs: `question` BYTES [n] or [n, 1]; `context` BYTES [n], [n, 1] or [1], shared by all.
V2 outputs: `answer` BYTES, `score` FP32, `start` and `end` INT64, each [n, top_k];
`null_score_diff` FP32 [n]; `sequence_length` INT64 [n].
V1 speaks the words of the Hugging Face pipeline.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from kserve import InferInput, InferOutput, InferRequest, InferResponse
from kserve.protocol.infer_type import to_http_parameters
from kserve.utils.utils import generate_uuid

from predictor.errors import InvalidRequest
from predictor.types import Answer, Question, Result, SpanParameters, Timings

INPUTS = [
    {"name": "question", "datatype": "BYTES", "shape": [-1]},
    {"name": "context", "datatype": "BYTES", "shape": [-1]},
]
OUTPUTS = [
    {"name": "answer", "datatype": "BYTES", "shape": [-1, -1]},
    {"name": "score", "datatype": "FP32", "shape": [-1, -1]},
    {"name": "start", "datatype": "INT64", "shape": [-1, -1]},
    {"name": "end", "datatype": "INT64", "shape": [-1, -1]},
    {"name": "null_score_diff", "datatype": "FP32", "shape": [-1]},
    {"name": "sequence_length", "datatype": "INT64", "shape": [-1]},
]
_OUTPUT_NAMES = frozenset(output["name"] for output in OUTPUTS)
# Parameters of the protocol and of Triton's clients that mean nothing to a stateless model.
_IGNORED = {"binary_data_output", "priority", "sequence_id", "sequence_start", "sequence_end"}
_OWN = ("top_k", "max_answer_length", "null_score_diff_threshold", "timeout")


@dataclass(frozen=True, slots=True)
class Call:
    """A decoded request.

    Attributes:
        questions: At least one.
        parameters: The artifact's span parameters with the request's own laid over them.
        timeout: Seconds within which a run must start, or None.
    """

    questions: tuple[Question, ...]
    parameters: SpanParameters
    timeout: float | None


def decode_v2(request: InferRequest, defaults: SpanParameters, max_seq_length: int) -> Call:
    """Reads a V2 request, REST or gRPC; raises InvalidRequest."""
    columns: dict[str, list[str]] = {}
    for tensor in request.inputs:
        if tensor.name not in ("question", "context"):
            raise InvalidRequest(f"unknown input {tensor.name!r}; inputs are question and context")
        if tensor.name in columns:
            raise InvalidRequest(f"input {tensor.name!r} is given twice")
        columns[tensor.name] = _strings(tensor)
    for name in ("question", "context"):
        if name not in columns:
            raise InvalidRequest(f"input {name!r} is missing")
    questions, contexts = columns["question"], columns["context"]
    if len(contexts) == 1:
        contexts = contexts * len(questions)
    if len(questions) != len(contexts):
        raise InvalidRequest(
            f"{len(questions)} questions but {len(contexts)} contexts; "
            "give one context for each question, or one for all"
        )
    pairs = tuple(
        Question(_text(question, f"question[{i}]"), _text(context, f"context[{i}]"))
        for i, (question, context) in enumerate(zip(questions, contexts, strict=True))
    )
    for output in request.request_outputs or ():
        if output.name not in _OUTPUT_NAMES:
            raise InvalidRequest(f"unknown output {output.name!r}")
    given = request.parameters or {}
    if not isinstance(given, dict):
        for name, parameter in given.items():
            if parameter.WhichOneof("parameter_choice") is None:
                raise InvalidRequest(f"parameter {name} has no value")
        given = to_http_parameters(given)
    return Call(pairs, *_parameters(given, defaults, max_seq_length))


def decode_v1(payload: object, defaults: SpanParameters, max_seq_length: int) -> Call:
    """Reads a V1 request, parsed or as raw bytes of JSON; raises InvalidRequest."""
    if isinstance(payload, bytes):
        try:
            payload = json.loads(payload)
        except ValueError as error:
            raise InvalidRequest(f"the body is not JSON: {error}") from error
    if not isinstance(payload, dict):
        raise InvalidRequest('the body must be an object with "instances"')
    instances = payload.get("instances")
    if not isinstance(instances, list) or not instances:
        raise InvalidRequest('"instances" must be a list with at least one element')
    questions = tuple(_instance(i, instance) for i, instance in enumerate(instances))
    given = payload.get("parameters", {})
    if not isinstance(given, dict):
        raise InvalidRequest('"parameters" must be an object')
    return Call(questions, *_parameters(given, defaults, max_seq_length))


def encode_v2(
    request: InferRequest,
    results: Sequence[Result],
    top_k: int,
    *,
    model: str,
    version: int,
    timings: Timings,
) -> InferResponse:
    """The V2 response, REST or gRPC; slots without a candidate hold "", 0.0, -1 and -1."""
    blank = Answer("", 0.0, -1, -1)
    rows = [
        [*result.answers, *[blank] * (top_k - len(result.answers))] for result in results
    ]  # (n, top_k)
    values: dict[str, tuple[list[Any], Any]] = {
        "answer": ([[a.text.encode() for a in row] for row in rows], np.object_),
        "score": ([[a.score for a in row] for row in rows], np.float32),
        "start": ([[a.start for a in row] for row in rows], np.int64),
        "end": ([[a.end for a in row] for row in rows], np.int64),
        "null_score_diff": ([r.null_score_diff for r in results], np.float32),
        "sequence_length": ([r.sequence_length for r in results], np.int64),
    }
    outputs = []
    # Over REST the SDK picks the requested outputs, over gRPC it sends what it is given.
    wanted = {output.name for output in request.request_outputs or () if request.from_grpc}
    for spec in OUTPUTS:
        name, datatype = str(spec["name"]), str(spec["datatype"])
        if wanted and name not in wanted:
            continue
        data, dtype = values[name]
        array = np.array(data, dtype=dtype)
        # The SDK sends arrays over gRPC as raw contents; who asked with typed ones gets typed ones.
        typed = request.from_grpc and not request.use_binary_outputs
        column = array.reshape(-1).tolist() if typed else array
        outputs.append(InferOutput(name, list(array.shape), datatype, data=column))
    return InferResponse(
        response_id=request.id or generate_uuid(),
        model_name=model,
        model_version=str(version),
        infer_outputs=outputs,
        # gRPC has no response headers that a client library shows; REST has Server-Timing.
        parameters={"server_timing": timings.server_timing()} if request.from_grpc else None,
        use_binary_outputs=request.use_binary_outputs,
        requested_outputs=request.request_outputs,
    )


def encode_v1(results: Sequence[Result], top_k: int) -> dict[str, Any]:
    """The V1 response: one object per instance, or a list of them where top_k > 1."""
    predictions: list[Any] = []
    for result in results:
        answers = [
            {"answer": a.text, "score": a.score, "start": a.start, "end": a.end}
            for a in result.answers
        ]
        predictions.append(answers if top_k > 1 else answers[0])
    return {"predictions": predictions}


def _strings(tensor: InferInput) -> list[str]:
    if tensor.datatype != "BYTES":
        raise InvalidRequest(f"input {tensor.name!r} has datatype {tensor.datatype}, not BYTES")
    shape = list(tensor.shape)
    if len(shape) not in (1, 2) or (len(shape) == 2 and shape[1] != 1) or min(shape) < 1:
        raise InvalidRequest(f"input {tensor.name!r} has shape {shape}; it must be [n] or [n, 1]")
    try:
        flat = tensor.as_numpy().reshape(-1)
    except Exception as error:  # the SDK raises whatever numpy and struct raise
        raise InvalidRequest(
            f"input {tensor.name!r}: its data does not fit shape {shape} and datatype BYTES"
        ) from error
    return [_decoded(value, f"{tensor.name}[{i}]") for i, value in enumerate(flat)]


def _decoded(value: object, where: str) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise InvalidRequest(f"{where} is not valid UTF-8") from error
    if not isinstance(value, str):
        raise InvalidRequest(f"{where} is {type(value).__name__}, not a string")
    return value


def _instance(index: int, instance: object) -> Question:
    if not isinstance(instance, dict):
        raise InvalidRequest(f"instances[{index}] must be an object with question and context")
    unknown = set(instance) - {"question", "context"}
    if unknown:
        raise InvalidRequest(f"instances[{index}] has an unknown field {min(unknown)!r}")
    texts = {}
    for name in ("question", "context"):
        if name not in instance:
            raise InvalidRequest(f"instances[{index}] has no {name}")
        where = f"instances[{index}].{name}"
        texts[name] = _text(_decoded(instance[name], where), where)
    return Question(**texts)


def _text(value: str, where: str) -> str:
    if not value.strip():
        raise InvalidRequest(f"{where} is empty")
    try:
        value.encode()
    except UnicodeEncodeError as error:  # JSON can spell half of a surrogate pair
        raise InvalidRequest(f"{where} is not valid Unicode") from error
    return value


def _parameters(
    given: Mapping[str, Any], defaults: SpanParameters, max_seq_length: int
) -> tuple[SpanParameters, float | None]:
    unknown = set(given) - _IGNORED - set(_OWN)
    if unknown:
        raise InvalidRequest(f"unknown parameter {min(unknown)!r}; known are {', '.join(_OWN)}")
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
        raise InvalidRequest(f"parameter {name} must be a number, not {value!r}") from error
    return number
