"""Errors on gRPC: every refusal is a status with its text; and how inference calls end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from grpc import StatusCode
from grpc.aio import AbortError, ServicerContext
from grpc_interceptor.server import AsyncServerInterceptor

from predictor.errors import InternalError, PredictorError, QueueFull
from predictor.refusals import log_refusal, refusal_text

logger = logging.getLogger(__name__)

PROTOCOL = "v2-grpc"


class Refusals(AsyncServerInterceptor):  # type: ignore[misc]  # untyped package
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
            log_refusal(refusal, path=method_name, status=status)
            if isinstance(refusal, QueueFull):
                context.set_trailing_metadata((("retry-after", str(refusal.retry_after)),))
            await context.abort(StatusCode[status], refusal_text(refusal))
        finally:
            if counted:
                self._outcome(PROTOCOL, status)
