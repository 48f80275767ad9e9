"""Request bodies: compressed ones, as Triton's clients send them when asked to, and JSON."""

from __future__ import annotations

import zlib
from typing import Any

import orjson

from predictor.errors import InvalidRequest, RequestTooLarge

# Of zlib's `wbits`: how the stream is wrapped.
_WRAPPED = {"gzip": 31, "x-gzip": 31, "deflate": 15}


def inflate(body: bytes, encoding: str | None, max_bytes: int) -> bytes:
    """A body as it was before its `Content-Encoding`.

    Args:
        body: As it was received.
        encoding: The header's value; None for none.
        max_bytes: Most that it may be when it is read.

    Raises:
        InvalidRequest: Another encoding, or broken.
        RequestTooLarge: A small body that would become a large one.
    """
    name = (encoding or "identity").strip().lower()
    if name == "identity":
        return body
    if name not in _WRAPPED:
        raise InvalidRequest(f"content encoding {name[:20]!r} is none of {', '.join(_WRAPPED)}")
    stream = zlib.decompressobj(_WRAPPED[name])
    try:
        inflated = stream.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise InvalidRequest(f"the body is not {name}") from error
    if len(inflated) > max_bytes:
        raise RequestTooLarge(f"the body is larger than {max_bytes} bytes")
    if not stream.eof or stream.unused_data:
        raise InvalidRequest(f"the body is not {name}")
    return inflated


def parse_json(body: bytes | memoryview) -> dict[str, Any]:
    """The object that a body holds; raises InvalidRequest."""
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"the body is not JSON: {error}") from error
    if not isinstance(payload, dict):
        raise InvalidRequest("the body must be a JSON object")
    return payload
