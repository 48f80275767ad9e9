"""Errors on the wire: one conversion for REST and one for gRPC, the same meaning on both."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from grpc import StatusCode
from grpc_interceptor.exceptions import GrpcException
from starlette.exceptions import HTTPException

from predictor.errors import PredictorError


class TransportError(GrpcException):  # type: ignore[misc]  # untyped package
    """A PredictorError in the form that KServe's gRPC interceptor passes on as it is."""

    def __init__(self, error: PredictorError) -> None:
        """Keeps the error's text and both of its statuses."""
        super().__init__(details=str(error), status_code=StatusCode[error.grpc_status])
        self.http_status = error.http_status

    def __str__(self) -> str:
        return str(self.details)


def add_exception_handlers(app: FastAPI) -> None:
    """Makes every refusal of the REST server `{"error": text}`, with the status it deserves."""
    app.add_exception_handler(TransportError, _transport_error)
    app.add_exception_handler(HTTPException, _http_exception)


async def _transport_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, TransportError)
    return _response(error.http_status, str(error))


async def _http_exception(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    response = _response(error.status_code, str(error.detail))
    response.headers.update(error.headers or {})
    return response


def _response(status: int, text: str) -> JSONResponse:
    return JSONResponse({"error": text}, status_code=status)
