"""One inquiry in the words of each protocol, as bytes on the wire: V1, V2 JSON and binary, gRPC."""

from __future__ import annotations

import http.client
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from demo.servers import Server
from loadtest.local.servers import HOST

CONTEXT = (
    "The first little pig built a house of straw. The second little pig worked a little bit harder "
    "and built a house of sticks. Then they sang and danced."
)
QUESTION = "Who worked a little bit harder?"
ANSWER = "The second little pig"
V1, V2 = "/v1/models/qa:predict", "/v2/models/qa/infer"
JSON = {"Content-Type": "application/json"}
OVER_THE_LIMIT = "x" * 9_000_000  # the default limit of both transports is 8 MiB


def tensor(name, data, datatype="BYTES", shape=None):
    """A V2 tensor with its data in JSON."""
    return {"name": name, "datatype": datatype, "shape": shape or [len(data)], "data": data}


def ask(question=QUESTION, context=CONTEXT, **parameters):
    """A V2 JSON request."""
    body = {"inputs": [tensor("question", [question]), tensor("context", [context])]}
    return body | ({"parameters": parameters} if parameters else {})


@dataclass(frozen=True)
class Reply:
    """An HTTP answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


def call(server: Server, method: str, path: str, body: Any = None, headers: Any = None) -> Reply:
    """One HTTP request with just these headers; a dict is sent as JSON."""
    if isinstance(body, dict):
        body = json.dumps(body)
    connection = http.client.HTTPConnection(HOST, server.port, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        named = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, named, response.read())
    finally:
        connection.close()


def post(server: Server, path: str, body: Any, headers: Any = JSON) -> tuple[int, Any]:
    """Status and parsed answer of a POST."""
    reply = call(server, "POST", path, body, headers)
    return reply.status, reply.json


@dataclass(frozen=True)
class Inquiry:
    """What is asked, right or wrong, before a protocol gives it a form.

    Attributes:
        question, context: The elements of each tensor; text, bytes that need not be UTF-8, or
            numbers. None leaves the tensor out.
        datatype, shape: Of the question's tensor; the shape is the data's own where None.
        parameters: None as a value is one that is named without being given.
    """

    question: Sequence[str | bytes | int] | None = (QUESTION,)
    context: Sequence[str | bytes] | None = (CONTEXT,)
    datatype: str = "BYTES"
    shape: Sequence[int] | None = None
    parameters: Mapping[str, str | int | None] = field(default_factory=dict)
    model: str = "qa"

    def tensors(self):
        """Name, datatype, shape and elements of what is given."""
        shape = list(self.shape or [len(self.question or ())])
        if self.question is not None:
            yield "question", self.datatype, shape, self.question
        if self.context is not None:
            yield "context", "BYTES", [len(self.context)], self.context

    def v1(self):
        """Path, body and headers; V1 has no shapes: several elements are a list in place of one."""
        instance = {
            name: elements[0] if len(elements) == 1 else list(elements)
            for name, _, _, elements in self.tensors()
        }
        body = {"instances": [instance], "parameters": dict(self.parameters)}
        return f"/v1/models/{self.model}:predict", _json(body), JSON

    def v2_json(self):
        """Path, body and headers."""
        inputs = [
            tensor(name, list(elements), datatype, shape)
            for name, datatype, shape, elements in self.tensors()
        ]
        body = {"inputs": inputs, "parameters": dict(self.parameters)}
        return f"/v2/models/{self.model}/infer", _json(body), JSON

    def v2_binary(self):
        """Path, body and headers, the tensors' data behind the JSON."""
        buffers = [_buffer(elements) for *_, elements in self.tensors()]
        inputs = [
            {"name": name, "datatype": datatype, "shape": shape}
            | {"parameters": {"binary_data_size": len(buffer)}}
            for (name, datatype, shape, _), buffer in zip(self.tensors(), buffers, strict=True)
        ]
        head = _json({"inputs": inputs, "parameters": dict(self.parameters)})
        headers = {
            "Content-Type": "application/octet-stream",
            "Inference-Header-Content-Length": str(len(head)),
        }
        return f"/v2/models/{self.model}/infer", head + b"".join(buffers), headers

    def grpc(self, *, raw=False, outputs=(), **fields):
        """A message with typed or raw contents; `fields` are its id and model_version."""
        message = pb.ModelInferRequest(model_name=self.model, **fields)
        for name, datatype, shape, elements in self.tensors():
            given = message.inputs.add(name=name, datatype=datatype, shape=shape)
            if raw:
                message.raw_input_contents.append(_buffer(elements))
            elif datatype == "BYTES":
                given.contents.bytes_contents.extend(map(_bytes, elements))
            else:
                given.contents.int64_contents.extend(elements)
        for name in outputs:
            message.outputs.add(name=name)
        for name, value in self.parameters.items():
            parameter = message.parameters[name]
            if value is None:
                parameter.SetInParent()
            elif isinstance(value, str):
                parameter.string_param = value
            else:
                parameter.int64_param = value
        return message


def _json(value: Any) -> bytes:
    # Bytes that are no UTF-8 reach the wire as they are, half a surrogate pair as its escape.
    try:
        text = json.dumps(value, default=lambda raw: raw.decode("utf-8", "surrogateescape"))
        return json.dumps(json.loads(text), ensure_ascii=False).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode()


def _bytes(element: str | bytes) -> bytes:
    return element.encode("utf-8", "surrogatepass") if isinstance(element, str) else element


def _buffer(elements: Sequence[str | bytes | int]) -> bytes:
    """The protocol's binary form: BYTES with a length before each, integers of 64 bits."""
    return b"".join(
        struct.pack("<q", element)
        if isinstance(element, int)
        else struct.pack("<I", len(_bytes(element))) + _bytes(element)
        for element in elements
    )
