"""V2 over gRPC: messages with typed or with raw contents ↔ calls and results."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.unknown_fields import UnknownFieldSet
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from predictor.codecs import v2
from predictor.codecs.call import Call
from predictor.codecs.strings import shown
from predictor.codecs.tensors import Tensor, check_strings, misfit, pack, unpack_strings
from predictor.errors import InvalidRequest
from predictor.types import Result, SpanParameters, Timings

# Of InferParameter, in the protocol's own definition; and protobuf's wire types.
_DOUBLE_PARAM, _UINT64_PARAM = 4, 5
_VARINT, _FIXED64 = 0, 1
_CONTENTS = {"BYTES": "bytes_contents", "FP32": "fp32_contents", "INT64": "int64_contents"}


def decode(
    request: pb.ModelInferRequest, defaults: SpanParameters, max_seq_length: int
) -> tuple[Call, tuple[str, ...]]:
    """Reads a request: what is asked, and the names of the outputs to return.

    Raises:
        InvalidRequest: It cannot be answered.
    """
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise InvalidRequest(f"{len(request.inputs)} inputs but {len(raw)} raw contents")
    tensors = [
        _input(given, raw[position] if raw else None)
        for position, given in enumerate(request.inputs)
    ]
    names = v2.check_outputs([output.name for output in request.outputs])
    parameters = _parameters(request.parameters)
    return v2.decode(tensors, parameters, defaults, max_seq_length), names


def encode(
    request: pb.ModelInferRequest,
    call: Call,
    names: Sequence[str],
    results: Sequence[Result],
    timings: Timings,
    *,
    version: int,
) -> pb.ModelInferResponse:
    """The response, raw where the request is; who sent typed contents gets typed ones."""
    response = pb.ModelInferResponse(
        id=request.id or str(uuid.uuid4()),
        model_name=request.model_name,
        model_version=str(version),
    )
    # gRPC has no response headers that a client library shows; REST has Server-Timing.
    response.parameters["server_timing"].string_param = timings.server_timing()
    for tensor in v2.encode(results, call.parameters.top_k, names):
        output = response.outputs.add(
            name=tensor.name, datatype=tensor.datatype, shape=tensor.shape
        )
        if request.raw_input_contents:
            response.raw_output_contents.append(pack(tensor))
            continue
        values = tensor.values
        if tensor.datatype == "BYTES":
            values = [value.encode() for value in values]
        getattr(output.contents, _CONTENTS[tensor.datatype]).extend(values)
    return response


def _input(given: pb.ModelInferRequest.InferInputTensor, raw: bytes | None) -> Tensor:
    shape = tuple(given.shape)
    count = check_strings(given.name, given.datatype, shape)
    if raw is not None:
        if given.HasField("contents"):
            raise InvalidRequest(f"input {shown(given.name)} has both contents and raw contents")
        return Tensor(given.name, "BYTES", shape, unpack_strings(raw, shape, given.name))
    values = list(given.contents.bytes_contents)
    if len(values) != count:
        raise misfit(given.name, shape)
    return Tensor(given.name, "BYTES", shape, values)


def _parameters(given: Mapping[str, pb.InferParameter]) -> dict[str, Any]:
    values = {}
    for name, parameter in given.items():
        kind = parameter.WhichOneof("parameter_choice")
        values[name] = getattr(parameter, kind) if kind else _newer_value(parameter)
    return values


def _newer_value(parameter: pb.InferParameter) -> float | int | None:
    """A double or uint64 parameter, which the protocol has and the SDK's messages do not know."""
    for field in UnknownFieldSet(parameter):
        if field.field_number == _DOUBLE_PARAM and field.wire_type == _FIXED64:
            (double,) = struct.unpack("<d", struct.pack("<Q", field.data))
            return float(double)
        if field.field_number == _UINT64_PARAM and field.wire_type == _VARINT:
            return int(field.data)
    return None
