"""What a failed call to the Kubernetes API says, whichever layer of the client it failed in."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TypeVar

from kubernetes.client.exceptions import ApiException

T = TypeVar("T")

# Of one request, and of a pause that the server asks for.
LONGEST_SECONDS = 30.0


def unmasked(once: Callable[[], T]) -> T:
    """Calls; raises ApiException where the client would hide it."""
    try:
        return once()
    except AttributeError as error:
        # The client stumbles over the missing body of its own exception.
        if isinstance(error.__context__, ApiException):
            raise error.__context__ from None
        raise


def status(error: ApiException) -> tuple[int, str]:
    """The HTTP status and what the API server says, of a websocket's handshake too."""
    handshake = re.match(r"Handshake status (\d{3})", str(error.reason))
    if handshake:
        return int(handshake[1]), one_line(str(error.reason).split(" -+-+- ")[0])
    body = error.body
    try:
        message = str(json.loads(body)["message"])
    except (ValueError, TypeError, KeyError):
        message = str(error.reason)
    return error.status or 0, one_line(message)


def network_reason(error: Exception) -> str:
    """What the first of a chain of errors says, which the HTTP library wraps."""
    first: BaseException = error
    while cause := first.__cause__ or first.__context__:
        first = cause
    said = getattr(first, "strerror", None) or str(first) or type(first).__name__
    return one_line(said)


def retry_after(error: ApiException) -> float:
    """Seconds to wait that the API server asks for, or 0."""
    try:
        return min(float((error.headers or {})["Retry-After"]), LONGEST_SECONDS)
    except (KeyError, ValueError):
        return 0.0


def one_line(text: str) -> str:
    """The text without its line breaks, cut short."""
    return " ".join(text.split())[:300]
