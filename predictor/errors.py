"""Errors that reach a client or an operator, each with the status it has on the wire.

PredictorError
├── InvalidRequest          400  INVALID_ARGUMENT    a request that cannot be answered
│   └── QuestionTooLong     400  INVALID_ARGUMENT    no room is left for the context
├── ModelNotServed          404  NOT_FOUND           another model or version is served
├── RequestTooLarge         413  INVALID_ARGUMENT    the body or the context is over the limit
├── QueueFull               429  RESOURCE_EXHAUSTED  too much waits already; come back later
├── NotReady                503  UNAVAILABLE         draining, or what runs the model is away
├── DeadlineExceeded        504  DEADLINE_EXCEEDED   the request's timeout passed before its turn
├── InternalError           500  INTERNAL            a defect of ours; its text says nothing else
└── StartupError            500  INTERNAL            the server cannot start; shown to the operator
    └── ArtifactError       500  INTERNAL            the model folder is absent, broken or too new
"""

from __future__ import annotations


class PredictorError(Exception):
    """Base of every expected failure; both statuses are its meaning on the wire."""

    http_status = 500
    grpc_status = "INTERNAL"


class InvalidRequest(PredictorError):
    """The request is malformed: a missing or empty input, a wrong shape, datatype or parameter."""

    http_status = 400
    grpc_status = "INVALID_ARGUMENT"


class QuestionTooLong(InvalidRequest):
    """The question alone fills the model's window."""


class ModelNotServed(PredictorError):
    """The model or version asked for is not the one that is served."""

    http_status = 404
    grpc_status = "NOT_FOUND"


class RequestTooLarge(PredictorError):
    """The request's body, or what it asks to read, is larger than the server takes."""

    http_status = 413
    grpc_status = "INVALID_ARGUMENT"


class QueueFull(PredictorError):
    """As much waits as the server lets wait.

    Attributes:
        retry_after: Seconds after which trying again makes sense.
    """

    http_status = 429
    grpc_status = "RESOURCE_EXHAUSTED"

    def __init__(self, message: str, retry_after: int) -> None:
        """Takes the text for the client and the seconds to wait."""
        super().__init__(message)
        self.retry_after = retry_after


class NotReady(PredictorError):
    """The server is draining, or the server that runs its model is away."""

    http_status = 503
    grpc_status = "UNAVAILABLE"


class DeadlineExceeded(PredictorError):
    """The request's timeout, its own or the server's, passed before a run could start."""

    http_status = 504
    grpc_status = "DEADLINE_EXCEEDED"


class InternalError(PredictorError):
    """A defect on the server's side; the cause is in the log, never in the answer."""


class StartupError(PredictorError):
    """The server cannot start: a bad setting, a busy port, an unusable session."""


class ArtifactError(StartupError):
    """The model folder cannot be served."""
