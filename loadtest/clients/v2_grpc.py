"""V2 (Open Inference Protocol) over gRPC, with messages of its own and grpcio alone."""

import struct
import time
from typing import Any
from urllib.parse import urlsplit

import gevent.monkey
import grpc
import grpc.experimental.gevent
from google.protobuf.message import DecodeError

from loadtest.clients import oip_pb2
from loadtest.clients.base import Reply
from loadtest.clients.server_timing import parse_server_timing
from loadtest.clients.v2 import LENGTH_OUTPUT
from loadtest.errors import AnswerError, RefusedError, RequestError, TargetError, WrongError
from loadtest.prompts import Prompt
from loadtest.targets import Target

_SERVICE = "/inference.GRPCInferenceService"
_NO_ANSWER = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"}
_SCHEMES = {"grpc": False, "http": False, "grpcs": True, "https": True}

if gevent.monkey.is_module_patched("socket"):
    # Within Locust a wait for gRPC must let the other users go on.
    grpc.experimental.gevent.init_gevent()


class GrpcClient:
    """One channel, with a connection of its own."""

    def __init__(self, target: Target, request_timeout: float) -> None:
        """Raises TargetError for a host that is not like grpc://name:port."""
        try:
            url = urlsplit(target.host)
            secure, port = _SCHEMES[url.scheme], url.port
        except (KeyError, ValueError):
            secure, port = False, None
        if not port:
            raise TargetError(f"the host {target.host!r} is not like grpc://name:port")
        self._target = target
        self._request_timeout = request_timeout
        options: list[tuple[str, Any]] = [
            # Else all channels to one address would share a connection.
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_retries", 0),
        ]
        if target.host_header:
            options.append(("grpc.default_authority", target.host_header))
        if secure:
            credentials = grpc.ssl_channel_credentials()
            self._channel = grpc.secure_channel(url.netloc, credentials, options)
        else:
            self._channel = grpc.insecure_channel(url.netloc, options)
        self._metadata = [("authorization", f"Bearer {target.token}")] if target.token else []
        # Bytes in and out: neither packing nor unpacking a message is timed.
        self._infer = self._channel.unary_unary(f"{_SERVICE}/ModelInfer")
        self._ready = self._channel.unary_unary(f"{_SERVICE}/ModelReady")

    def check_ready(self) -> None:
        """Raises TargetError unless the model is ready."""
        request = oip_pb2.ModelReadyRequest(name=self._target.model)
        where = f"{self._target.host}: model {self._target.model!r} is not ready"
        try:
            raw, _, _ = self._call(self._ready, request)
        except AnswerError as error:
            raise TargetError(f"{where}: {error}") from error
        if not oip_pb2.ModelReadyResponse.FromString(raw).ready:
            raise TargetError(where)

    def infer(self, prompt: Prompt) -> Reply:
        """Ask one question; raises RequestError."""
        request = oip_pb2.ModelInferRequest(model_name=self._target.model)
        for name, text in prompt.columns():
            tensor = request.inputs.add(name=name, datatype="BYTES", shape=[1])
            tensor.contents.bytes_contents.append(text.encode())
        raw, begun, ended = self._call(self._infer, request)
        try:
            response = oip_pb2.ModelInferResponse.FromString(raw)
        except DecodeError:
            raise WrongError("the answer is not one of the V2 protocol") from None
        stages = parse_server_timing(response.parameters["server_timing"].string_param)
        return Reply(begun, ended, len(raw), _sequence_length(response), stages)

    def close(self) -> None:
        """Close the channel; a process with an open one may never end."""
        self._channel.close()

    def _call(self, method: Any, request: Any) -> tuple[bytes, float, float]:
        message = request.SerializeToString()
        begun = time.perf_counter()
        try:
            raw = method(message, timeout=self._request_timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise _request_error(error, self._target.host, self._request_timeout) from error
        return raw, begun, time.perf_counter()


def _request_error(error: Any, host: str, request_timeout: float) -> RequestError:
    code, details = error.code().name, " ".join(str(error.details()).split())[:200]
    if code == "DEADLINE_EXCEEDED":
        return TargetError(f"no answer from {host}: not whole within {request_timeout:g} s")
    if code in _NO_ANSWER:
        return TargetError(f"no answer from {host}: {details or code}")
    kind = RefusedError if code == "RESOURCE_EXHAUSTED" else AnswerError
    return kind(f"gRPC {code}: {details or 'no reason given'}")


def _sequence_length(response: Any) -> int | None:
    """The output of that name, typed or raw; None where there is none."""
    for number, output in enumerate(response.outputs):
        if output.name == LENGTH_OUTPUT:
            try:
                if not response.raw_output_contents:
                    return int(output.contents.int64_contents[0])
                (length,) = struct.unpack("<q", response.raw_output_contents[number])
                return int(length)
            except (IndexError, struct.error):
                raise WrongError("the answer's tensors are not those that it names") from None
    return None
