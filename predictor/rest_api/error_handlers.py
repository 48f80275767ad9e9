"""Errors on REST: every refusal is `{"error": text}`, with the status it deserves."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from predictor.errors import InvalidRequest, PredictorError, QueueFull
from predictor.refusals import log_refusal, refusal_text


def add_error_handlers(app: FastAPI) -> None:
    """Replaces the SDK's handlers of what can be raised."""
    app.add_exception_handler(PredictorError, _refused)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(Exception, _unexpected)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, PredictorError)
    log_refusal(error, path=request.url.path, status=error.http_status)
    headers = {"retry-after": str(error.retry_after)} if isinstance(error, QueueFull) else None
    return _response(error.http_status, refusal_text(error), headers)


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
