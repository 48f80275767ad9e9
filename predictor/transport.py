"""Errors on the wire: one conversion for REST and one for gRPC, the same meaning on both.

Every refusal is logged once, here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from grpc import StatusCode
from grpc.aio import AbortError, ServicerContext
from grpc_interceptor.server import AsyncServerInterceptor
from starlette.exceptions import HTTPException

from predictor.errors import InternalError, InvalidRequest, PredictorError, QueueFull

logger = logging.getLogger(__name__)

GRPC = "v2-grpc"
# gRPC carries it in a header, up to twelve bytes a character; clients take 8 KiB of headers.
_LONGEST_TEXT = 500


def add_exception_handlers(app: FastAPI) -> None:
    """Makes every refusal of the REST server `{"error": text}`, with the status it deserves."""
    app.add_exception_handler(PredictorError, _refused)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(Exception, _unexpected)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, PredictorError)
    _log(error, path=request.url.path, status=error.http_status)
    headers = {"retry-after": str(error.retry_after)} if isinstance(error, QueueFull) else None
    return _response(error.http_status, _text(error), headers)


async def _malformed(request: Request, error: Exception) -> JSONResponse:
    return await _refused(request, InvalidRequest("the request is not what this path takes"))


async def _http_exception(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return _response(error.status_code, str(error.detail), error.headers)


async def _unexpected(_: Request, error: Exception) -> JSONResponse:
    # Starlette raises it again, and the server logs it.
    return _response(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error", None)


def _response(status: int, text: str, headers: Any) -> JSONResponse:
    return JSONResponse({"error": text}, status_code=status, headers=headers)


class GrpcRefusals(AsyncServerInterceptor):  # type: ignore[misc]  # untyped package
    """Turns errors into gRPC statuses and counts how calls of ModelInfer end."""

    def __init__(self, outcome: Callable[[str, str], None]) -> None:
        """Takes who counts: called with the protocol and the status."""
        self._outcome = outcome

    async def intercept(
        self,
        method: Callable[[Any, ServicerContext], Any],
        request_or_iterator: Any,
        context: ServicerContext,
        method_name: str,
    ) -> Any:
        """Calls the method, whatever comes of it."""
        counted = method_name.endswith("/ModelInfer")
        status = "CANCELLED"
        try:
            response = await method(request_or_iterator, context)
            status = "OK"
            return response
        except (asyncio.CancelledError, AbortError):
            raise
        except Exception as error:
            refusal = error
            if not isinstance(refusal, PredictorError):
                logger.error("a call failed unexpectedly", exc_info=error)
                refusal = InternalError("internal error")
            status = refusal.grpc_status
            _log(refusal, path=method_name, status=status)
            if isinstance(refusal, QueueFull):
                context.set_trailing_metadata((("retry-after", str(refusal.retry_after)),))
            await context.abort(StatusCode[status], _text(refusal))
        finally:
            if counted:
                self._outcome(GRPC, status)


def _text(error: PredictorError) -> str:
    """What is said of it; names that a client made up may be as long as a request."""
    text = str(error)
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


def _log(error: PredictorError, *, path: str, status: int | str) -> None:
    logger.warning("refused: %s", _text(error), extra={"path": path, "status": status})
