"""Answers of the server, checked against the protocol's schemas and brought into one form."""

import json
import math
import struct

import numpy as np

from tests.integration import oip_schema
from tests.integration.calls import JSON, V2, call

NUMPY = {"FP32": np.dtype("<f4"), "INT64": np.dtype("<i8")}


def get(server, path, validator):
    """The parsed and valid answer of a GET that succeeds."""
    reply = call(server, "GET", path)
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    validator.validate(reply.json)
    return reply.json


def infer(server, body, path=V2):
    """The parsed and valid answer of an inference that succeeds."""
    reply = call(server, "POST", path, body, JSON)
    assert reply.status == 200, reply.content
    assert reply.headers["content-type"] == "application/json"
    oip_schema.INFERENCE_RESPONSE.validate(reply.json)
    return reply.json


def _flat(data):
    """Tensor data in row-major order, whether it was nested or not."""
    return [x for row in data for x in _flat(row)] if isinstance(data, list) else [data]


def rest_values(body):
    """Output name → its elements, each as its datatype holds it."""
    values = {}
    for output in body["outputs"]:
        elements = _flat(output["data"])
        assert len(elements) == math.prod(output["shape"])
        values[output["name"]] = (
            elements
            if output["datatype"] == "BYTES"
            else np.array(elements, NUMPY[output["datatype"]]).tolist()
        )
    return values


def flat_texts(array):
    """The elements of a client's array, bytes decoded."""
    return [x.decode() if isinstance(x, bytes) else x for x in array.reshape(-1).tolist()]


def binary_values(reply):
    """The same, of a reply whose outputs are all binary."""
    size = int(reply.headers["inference-header-content-length"])
    head, rest = json.loads(reply.content[:size]), reply.content[size:]
    oip_schema.BINARY_INFERENCE_RESPONSE.validate(head)
    values = {}
    for output in head["outputs"]:
        length = output["parameters"]["binary_data_size"]
        values[output["name"]] = _raw_values(output["datatype"], rest[:length])
        assert len(values[output["name"]]) == math.prod(output["shape"])
        rest = rest[length:]
    assert rest == b""
    return values


def grpc_values(response):
    """The same, of a gRPC answer with typed or raw contents; never both."""
    values = {}
    raws = list(response.raw_output_contents) or [None] * len(response.outputs)
    for output, raw in zip(response.outputs, raws, strict=True):
        contents = output.contents
        if raw is not None:
            assert not contents.ByteSize()
            values[output.name] = _raw_values(output.datatype, raw)
        elif output.datatype == "BYTES":
            values[output.name] = [text.decode() for text in contents.bytes_contents]
        else:
            numbers = {"FP32": contents.fp32_contents, "INT64": contents.int64_contents}
            values[output.name] = list(numbers[output.datatype])
        assert len(values[output.name]) == math.prod(output.shape)
    return values


def _raw_values(datatype, buffer):
    if datatype != "BYTES":
        return np.frombuffer(buffer, NUMPY[datatype]).tolist()
    texts = []
    while buffer:
        (size,) = struct.unpack_from("<I", buffer)
        texts.append(buffer[4 : 4 + size].decode())
        buffer = buffer[4 + size :]
    return texts
