"""Generated requests, all of them right, in the form of every protocol.

What is asked is drawn apart from the protocols: one example gives an input to each of them.
"""

from __future__ import annotations

import contextlib
import struct
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError
from hypothesis import strategies as st
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from predictor.codecs.v2 import OUTPUT_NAMES

N_BEST, WINDOW = 20, 64  # the bounds of top_k and of max_answer_length

TEXTS = st.one_of(
    st.sampled_from(["Who?", "A house of sticks.", "é ü 漢字 🐖", "\x00.", "a" * 300, "１２"]),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(str.strip),
)


@dataclass(frozen=True)
class Ask:
    """A right request: texts, one context for each question or one for all, and parameters.

    Attributes:
        nested: Whether the tensors are [n, 1].
    """

    questions: list[str]
    contexts: list[str]
    parameters: dict[str, Any]
    outputs: list[str]
    nested: bool


@st.composite
def asks(draw: st.DrawFn) -> Ask:
    """A right request."""
    questions = draw(st.lists(TEXTS, min_size=1, max_size=3))
    count = draw(st.sampled_from([1, len(questions)]))
    return Ask(
        questions,
        draw(st.lists(TEXTS, min_size=count, max_size=count)),
        draw(_PARAMETERS),
        draw(st.lists(st.sampled_from(OUTPUT_NAMES), max_size=3, unique=True)),
        draw(st.booleans()),
    )


def _numbers(least: int, most: int) -> st.SearchStrategy[Any]:
    integers = st.integers(least, most)
    return integers | integers.map(str)


_PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "top_k": _numbers(1, N_BEST),
        "max_answer_length": _numbers(1, WINDOW),
        "null_score_diff_threshold": st.floats(-1e6, 1e6) | st.integers(-99, 99) | st.just("-2.5"),
        "timeout": _numbers(10_000_000, 2**53),
        "priority": st.integers(0, 9),
    },
)


def v1(ask: Ask) -> dict[str, Any]:
    """The V1 body."""
    contexts = ask.contexts * (len(ask.questions) if len(ask.contexts) == 1 else 1)
    pairs = zip(ask.questions, contexts, strict=True)
    instances = [{"question": question, "context": context} for question, context in pairs]
    return {"instances": instances, "parameters": dict(ask.parameters)}


def v2(ask: Ask) -> dict[str, Any]:
    """The V2 body in JSON."""
    inputs = [
        _described(ask, name, values) | {"data": [[v] for v in values] if ask.nested else values}
        for name, values in _tensors(ask)
    ]
    return _request(ask, inputs)


def v2_binary(ask: Ask) -> tuple[dict[str, Any], bytes]:
    """The JSON of a V2 body with binary tensors, and the tensors."""
    buffers = [packed(values) for _, values in _tensors(ask)]
    inputs = [
        _described(ask, name, values) | {"parameters": {"binary_data_size": len(buffer)}}
        for (name, values), buffer in zip(_tensors(ask), buffers, strict=True)
    ]
    return _request(ask, inputs), b"".join(buffers)


def v2_message(ask: Ask, *, raw: bool) -> dict[str, Any]:
    """What `message` makes the gRPC message of."""
    inputs = [_described(ask, name, values) for name, values in _tensors(ask)]
    contents = [packed(values) for _, values in _tensors(ask)] if raw else []
    if not raw:
        for given, (_, values) in zip(inputs, _tensors(ask), strict=True):
            given["contents"] = [value.encode() for value in values]
    return _request(ask, inputs) | {"raw_input_contents": contents, "model_name": "qa"}


def message(fields: dict[str, Any]) -> pb.ModelInferRequest:
    """A message of those fields that protobuf takes; the others it would not let on the wire."""
    result = pb.ModelInferRequest()
    for name in ("model_name", "model_version", "id"):
        with _what_protobuf_takes():
            setattr(result, name, fields.get(name) or "")
    for given in _objects(fields.get("inputs")):
        tensor = result.inputs.add()
        for name in ("name", "datatype"):
            with _what_protobuf_takes():
                setattr(tensor, name, given.get(name) or "")
        with _what_protobuf_takes():
            tensor.shape.extend(given.get("shape") or [])
        if given.get("contents") is not None:
            with _what_protobuf_takes():
                tensor.contents.bytes_contents.extend(given["contents"])
    for given in _objects(fields.get("outputs")):
        with _what_protobuf_takes():
            result.outputs.add(name=given.get("name") or "")
    with _what_protobuf_takes():
        result.raw_input_contents.extend(fields.get("raw_input_contents") or [])
    parameters = fields.get("parameters")
    for name, value in parameters.items() if isinstance(parameters, dict) else ():
        with _what_protobuf_takes():
            result.parameters[name].MergeFrom(_parameter(value))
    return result


def packed(values: list[str]) -> bytes:
    """Raw BYTES contents."""
    encoded = [value.encode() for value in values]
    return b"".join(struct.pack("<I", len(value)) + value for value in encoded)


def _tensors(ask: Ask) -> list[tuple[str, list[str]]]:
    return [("question", list(ask.questions)), ("context", list(ask.contexts))]


def _described(ask: Ask, name: str, values: list[str]) -> dict[str, Any]:
    shape = [len(values), 1] if ask.nested else [len(values)]
    return {"name": name, "datatype": "BYTES", "shape": shape}


def _request(ask: Ask, inputs: list[dict[str, Any]]) -> dict[str, Any]:
    members = {"id": "mine", "inputs": inputs, "parameters": dict(ask.parameters)}
    return members | ({"outputs": [{"name": n} for n in ask.outputs]} if ask.outputs else {})


def _objects(value: Any) -> list[dict[str, Any]]:
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def _what_protobuf_takes() -> contextlib.AbstractContextManager[None]:
    return contextlib.suppress(TypeError, ValueError, OverflowError, DecodeError)


def _parameter(value: Any) -> pb.InferParameter:
    """A parameter; bytes are one as it is on the wire, known to the SDK or not."""
    if isinstance(value, bool):
        return pb.InferParameter(bool_param=value)
    if isinstance(value, float):
        return pb.InferParameter.FromString(b"\x21" + struct.pack("<d", value))
    if isinstance(value, str):
        return pb.InferParameter(string_param=value)
    if isinstance(value, int):
        return pb.InferParameter(int64_param=value)
    return pb.InferParameter.FromString(value if isinstance(value, bytes) else b"")
