"""V2, as REST and gRPC have it in common: tensors ↔ calls and results.

Inputs: `question` BYTES [n] or [n, 1]; `context` BYTES [n], [n, 1] or [1], shared by all.
Outputs: `answer` BYTES, `score` FP32, `start` and `end` INT64, each [n, top_k];
`null_score_diff` FP32 [n]; `sequence_length` INT64 [n].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from predictor.codecs.call import Call, check_count, read_parameters
from predictor.codecs.strings import shown, text
from predictor.codecs.tensors import Tensor
from predictor.errors import InvalidRequest
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


def decode(
    tensors: Sequence[Tensor],
    parameters: Mapping[str, Any],
    defaults: SpanParameters,
    max_seq_length: int,
) -> Call:
    """Reads a request.

    Args:
        tensors: Its inputs.
        parameters: Its own, by name.
        defaults: The artifact's span parameters.
        max_seq_length: The model's window in tokens.

    Raises:
        InvalidRequest: It cannot be answered.
        RequestTooLarge: It has too many questions.
    """
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
        check_count(len(columns[name].values))
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
    return Call(pairs, *read_parameters(parameters, defaults, max_seq_length))


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


def encode(results: Sequence[Result], top_k: int, names: Sequence[str]) -> list[Tensor]:
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


def _fp32(values: Sequence[float]) -> list[float]:
    """What is left of the values in the datatype that the metadata promises."""
    rounded: list[float] = np.array(values, dtype=np.float32).tolist()
    return rounded
