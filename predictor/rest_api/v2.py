"""V2 over REST: JSON bodies, and the binary tensor extension, both ways.

A binary body is JSON of as many bytes as the header `Inference-Header-Content-Length` says, then
the raw contents of the tensors that have `binary_data_size`, in order.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from predictor.codecs import v2
from predictor.codecs.call import Call
from predictor.codecs.strings import shown
from predictor.codecs.tensors import Tensor, check_strings, misfit, pack, unpack_strings
from predictor.errors import InvalidRequest
from predictor.rest_api.body import parse_json
from predictor.types import Result, SpanParameters

BINARY_HEADER = "inference-header-content-length"
_MOST_DIGITS = 20  # int() refuses thousands of them with an error of its own


@dataclass(frozen=True, slots=True)
class RestRequest:
    """A V2 request as REST carries it.

    Attributes:
        id: The client's, or one that is made.
        call: What is asked.
        outputs: Names of the outputs to return.
        binary: Those of them to return as raw contents.
    """

    id: str
    call: Call
    outputs: tuple[str, ...]
    binary: frozenset[str]


def decode(
    body: bytes, header_length: str | None, defaults: SpanParameters, max_seq_length: int
) -> RestRequest:
    """Reads a body.

    Args:
        body: The whole body.
        header_length: Value of the binary extension's header, if there is one.
        defaults: The artifact's span parameters.
        max_seq_length: The model's window in tokens.

    Raises:
        InvalidRequest: It is not a request that can be answered.
    """
    head, raw = _split(body, header_length)
    payload = parse_json(head)
    identifier = payload.get("id")
    if identifier is not None and not isinstance(identifier, str):
        raise InvalidRequest('"id" must be a string')
    tensors, used = [], 0
    for index, given in enumerate(_objects(payload.get("inputs"), "inputs")):
        tensor, size = _input(given, index, raw[used:])
        tensors.append(tensor)
        used += size
    if used != len(raw):
        raise InvalidRequest(f"{len(raw) - used} bytes follow the binary tensors")
    parameters = _parameters(payload, "the request")
    wanted = payload.get("outputs")
    outputs = [] if wanted is None else _objects(wanted, "outputs")
    names = v2.check_outputs([output.get("name") for output in outputs])
    binary = {name: _flag(parameters, "binary_data_output") for name in names}
    for output in outputs:
        own = _parameters(output, f"output {output['name']!r}")
        if "binary_data" in own:
            binary[output["name"]] = _flag(own, "binary_data")
    return RestRequest(
        id=identifier or str(uuid.uuid4()),
        call=v2.decode(tensors, parameters, defaults, max_seq_length),
        outputs=names,
        binary=frozenset(name for name, wanted in binary.items() if wanted),
    )


def encode(
    request: RestRequest, results: Sequence[Result], *, model: str, version: int
) -> tuple[bytes, dict[str, str]]:
    """The response's body, and the headers that it needs."""
    outputs, raw = [], []
    for tensor in v2.encode(results, request.call.parameters.top_k, request.outputs):
        output: dict[str, Any] = {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": tensor.shape,
        }
        if tensor.name in request.binary:
            raw.append(pack(tensor))
            output["parameters"] = {"binary_data_size": len(raw[-1])}
        else:
            output["data"] = tensor.values
        outputs.append(output)
    head = orjson.dumps(
        {
            "id": request.id,
            "model_name": model,
            "model_version": str(version),
            "outputs": outputs,
        }
    )
    if not raw:
        return head, {"content-type": "application/json"}
    headers = {"content-type": "application/octet-stream", BINARY_HEADER: str(len(head))}
    return b"".join([head, *raw]), headers


def _split(body: bytes, header_length: str | None) -> tuple[memoryview, memoryview]:
    whole = memoryview(body)
    if header_length is None:
        return whole, whole[:0]
    digits = header_length.isascii() and header_length.isdigit()
    if not digits or len(header_length) > _MOST_DIGITS or int(header_length) > len(body):
        raise InvalidRequest(f"header {BINARY_HEADER} does not fit the body")
    length = int(header_length)
    return whole[:length], whole[length:]


def _input(given: Mapping[str, Any], index: int, raw: memoryview) -> tuple[Tensor, int]:
    """One input, and how many raw bytes it took."""
    name, datatype, shape = given.get("name"), given.get("datatype"), given.get("shape")
    where = f"inputs[{index}]"
    if not isinstance(name, str) or not isinstance(datatype, str):
        raise InvalidRequest(f"{where} must have a name and a datatype")
    if not isinstance(shape, list) or not all(type(size) is int for size in shape) or not shape:
        raise InvalidRequest(f"{where}.shape must be a list of whole numbers")
    check_strings(name, datatype, shape)
    size = _parameters(given, where).get("binary_data_size")
    if size is None:
        values = _flat(given.get("data"), shape, name)
        return Tensor(name, datatype, tuple(shape), values), 0
    if "data" in given:
        raise InvalidRequest(f"{where} has both data and binary_data_size")
    if type(size) is not int or not 0 <= size <= len(raw):
        raise InvalidRequest(f"{where}: its binary_data_size does not fit the body")
    return Tensor(name, datatype, tuple(shape), unpack_strings(raw[:size], shape, name)), size


def _flat(data: object, shape: Sequence[int], name: str) -> list[Any]:
    """Row-major values of data that is flat, or nested as its shape is."""
    if not isinstance(data, list):
        raise InvalidRequest(f"input {shown(name)} has no list of data")
    values = data
    if len(shape) == 2 and any(isinstance(row, list) for row in data):
        if not all(isinstance(row, list) and len(row) == shape[1] for row in data):
            raise misfit(name, shape)
        values = [value for row in data for value in row]
    if len(values) != math.prod(shape):
        raise misfit(name, shape)
    return values


def _objects(value: object, name: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(element, dict) for element in value):
        raise InvalidRequest(f'"{name}" must be a list of objects')
    return value


def _parameters(owner: Mapping[str, Any], where: str) -> dict[str, Any]:
    value = owner.get("parameters", {})
    if not isinstance(value, dict):
        raise InvalidRequest(f"the parameters of {where} must be an object")
    return value


def _flag(parameters: Mapping[str, Any], name: str) -> bool:
    value = parameters.get(name, False)
    if not isinstance(value, bool):
        raise InvalidRequest(f"parameter {name} must be true or false")
    return value
