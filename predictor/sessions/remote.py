"""A session whose model another server runs, such as Triton: token ids out, logits back.

It speaks the Open Inference Protocol over gRPC, tensors as raw bytes, one run at a time. KServe's
generated messages are the protocol's; by its dotted name the core finds this module without
importing it.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Iterable
from pathlib import Path

import grpc
import numpy as np
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from predictor.artifact import ArtifactSpec
from predictor.batch_plan import ALONE
from predictor.errors import (
    DeadlineExceeded,
    InternalError,
    NotReady,
    PredictorError,
    QueueFull,
    StartupError,
)
from predictor.sessions.batch_size import run_overhead_tokens
from predictor.sessions.binding import OUTPUTS
from predictor.sessions.protocol import MAX_BATCH_TOKENS, SessionOptions
from predictor.sessions.providers import CPU, CUDA
from predictor.types import Batch, Logits

logger = logging.getLogger(__name__)

# On a CPU larger batches are no cheaper, wherever it is.
_CPU_BATCH_TOKENS = 1024
# A probe of Kubernetes waits for one second by default.
_READY_SECONDS = 0.5
_POLL_SECONDS = 0.5
_RETRY_AFTER = 1
# A feature has a token of the question, one of the context, and three that separate them.
_FEWEST_TOKENS = 5

_SERVICE_CONFIG = {
    # All of a headless Service's pods, and at once another one where a pod has gone.
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{"service": "inference.GRPCInferenceService", "method": "ModelInfer"}],
            # A run changes nothing, so it may be sent twice.
            "retryPolicy": {
                "maxAttempts": 2,
                "initialBackoff": "0.1s",
                "maxBackoff": "0.1s",
                "backoffMultiplier": 1,
                # CANCELLED is what gRPC makes of a call that reaches a server as it closes.
                "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
            },
        }
    ],
}
_CHANNEL_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    # Finds out that a node is gone while a run is under way. Triton takes two pings in a run for
    # granted, and more of them for abuse.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # By default a server that comes back may be left alone for two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
]


class RemoteSession:
    """Runs batches on the model of the artifact's name and version that another server has."""

    def __init__(self, spec: ArtifactSpec, folder: Path, options: SessionOptions) -> None:
        """Waits until the model is ready there and compares its tensors; see Session."""
        remote = options.remote
        if not remote.url:
            raise StartupError("RemoteSession needs --remote_url HOST:PORT (or --predictor_host)")
        self._url = remote.url
        self._timeout = remote.timeout
        # The first run may have to wait for what a server prepares only then.
        self._first_timeout = max(remote.timeout, remote.start_seconds)
        self._model = remote.model or spec.name
        self._version = str(spec.version)
        self._inputs = spec.inputs
        self.provider = f"{self._model} version {self._version} at {self._url}"
        hardware = CUDA if spec.target == "cuda" else CPU
        suits = MAX_BATCH_TOKENS if hardware == CUDA else _CPU_BATCH_TOKENS
        self.max_batch_tokens = options.max_batch_tokens or suits
        self.run_overhead_tokens = run_overhead_tokens(hardware, spec, self.max_batch_tokens)
        self._was_ready = True
        self._channel = self._connect()
        self._stub = GRPCInferenceServiceStub(self._channel)
        self._wait(remote.start_seconds)
        self._check_tensors()

    def run(self, batch: Batch) -> Logits:
        """Start and end logits, float32 (rows, longest).

        Raises:
            NotReady: The server is away, or has not got the model any more.
            QueueFull: It has too much to do.
            DeadlineExceeded: It did not answer in time.
            InternalError: It refused the batch, or what it gave is no answer to it.
        """
        try:
            return self._infer(batch, self._timeout)
        except grpc.RpcError as error:
            raise self._refusal(error) from None

    def ready(self) -> bool:
        """See DependsOnRemote; a change is logged."""
        problem = self._problem()
        if bool(problem) == self._was_ready:
            self._was_ready = not problem
            if problem:
                logger.warning("not ready: %s: %s", self.provider, problem)
            else:
                logger.info("ready again: %s", self.provider)
        return not problem

    def warm_up(self) -> None:
        """Sends as many rows as there can be at once; raises StartupError."""
        alone = self.run_overhead_tokens == ALONE
        rows = 1 if alone else max(self.max_batch_tokens // _FEWEST_TOKENS, 1)
        batch: Batch = {name: np.ones((rows, _FEWEST_TOKENS), np.int64) for name in self._inputs}
        try:
            self._infer(batch, self._first_timeout)
        except grpc.RpcError as error:
            raise StartupError(
                f"{self.provider} does not run {rows} rows of {_FEWEST_TOKENS} tokens: "
                f"{_described(error)}"
            ) from error

    def _connect(self) -> grpc.Channel:
        return grpc.insecure_channel(self._url, options=_CHANNEL_OPTIONS)

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        logger.info("waiting for %s, at most %g s", self.provider, seconds)
        while problem := self._problem():
            if time.monotonic() >= deadline:
                raise StartupError(f"{self.provider} is not ready after {seconds:g} s: {problem}")
            time.sleep(_POLL_SECONDS)

    def _problem(self) -> str:
        """Why the model is not ready there, asked now; empty where it is."""
        request = pb.ModelReadyRequest(name=self._model, version=self._version)
        # A channel of its own asks for the name's addresses now. gRPC shares the connection.
        with self._connect() as channel:
            try:
                stub = GRPCInferenceServiceStub(channel)
                ready = stub.ModelReady(request, timeout=_READY_SECONDS).ready
                return "" if ready else "the model is not loaded there"
            except grpc.RpcError as error:
                return _described(error)

    def _check_tensors(self) -> None:
        """Raises StartupError where the model is not the one that the artifact describes."""
        request = pb.ModelMetadataRequest(name=self._model, version=self._version)
        try:
            found = self._stub.ModelMetadata(request, timeout=self._timeout)
        except grpc.RpcError as error:
            raise StartupError(f"{self.provider}: no metadata: {_described(error)}") from error
        for what, names, datatype, tensors in (
            ("takes", self._inputs, "INT64", found.inputs),
            ("gives", OUTPUTS, "FP32", found.outputs),
        ):
            wanted = {f"{name} {datatype} [-1, -1]" for name in names}
            there = {f"{tensor.name} {tensor.datatype} {list(tensor.shape)}" for tensor in tensors}
            # What it gives besides is not asked for.
            if not wanted <= there or (what == "takes" and wanted != there):
                raise StartupError(
                    f"{self.provider} is another model: it {what} {_listed(there)}; "
                    f"the artifact's {what} {_listed(wanted)}"
                )

    def _infer(self, batch: Batch, timeout: float) -> Logits:
        shape = next(iter(batch.values())).shape
        request = pb.ModelInferRequest(
            model_name=self._model,
            model_version=self._version,
            outputs=[pb.ModelInferRequest.InferRequestedOutputTensor(name=n) for n in OUTPUTS],
        )
        for name, array in batch.items():
            request.inputs.add(name=name, datatype="INT64", shape=shape)
            request.raw_input_contents.append(array.astype("<i8", copy=False).tobytes())
        response = self._stub.ModelInfer(request, timeout=timeout)
        return _logits(response, shape)

    def _refusal(self, error: grpc.RpcError) -> PredictorError:
        """What a client is told; the rest is for the log."""
        code = error.code()
        logger.warning("a run failed: %s: %s", self.provider, _described(error))
        gone = (
            grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.NOT_FOUND,
        )  # fmt: skip
        if code in gone:
            # After a while gRPC asks for a name that has no address (a Service without pods) once
            # in two minutes; a new channel asks at once. Nobody else is using the old one.
            self._channel.close()
            self._channel = self._connect()
            self._stub = GRPCInferenceServiceStub(self._channel)
            return NotReady("the server that runs the model is not available")
        if code == grpc.StatusCode.RESOURCE_EXHAUSTED:
            return QueueFull("the server that runs the model has too much to do", _RETRY_AFTER)
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlineExceeded(
                f"the server that runs the model did not answer within {self._timeout:g} s"
            )
        return InternalError("internal error")


def _logits(response: pb.ModelInferResponse, shape: tuple[int, ...]) -> Logits:
    """Reads raw contents; typed ones, which the protocol allows too, Triton never sends."""
    size = math.prod(shape) * np.dtype(np.float32).itemsize
    given = {
        output.name: np.frombuffer(raw, "<f4").reshape(shape)
        for output, raw in zip(response.outputs, response.raw_output_contents, strict=False)
        if output.datatype == "FP32" and tuple(output.shape) == shape and len(raw) == size
    }
    if not given.keys() >= set(OUTPUTS):
        raise InternalError("the model gave no logits of the batch's shape")
    return Logits(*(given[name] for name in OUTPUTS))


def _described(error: grpc.RpcError) -> str:
    return f"{error.code().name}: {' '.join(str(error.details()).split())}"


def _listed(tensors: Iterable[str]) -> str:
    return ", ".join(sorted(tensors)) or "nothing"
