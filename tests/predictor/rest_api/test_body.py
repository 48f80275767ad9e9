"""Compressed bodies are read, within the bound of those that are not."""

import gzip
import zlib

import pytest

from predictor.errors import InvalidRequest, RequestTooLarge
from predictor.rest_api.body import inflate

BODY = b'{"inputs": []}' * 10


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (BODY, None),
        (BODY, "identity"),
        (gzip.compress(BODY, mtime=0), "gzip"),
        (gzip.compress(BODY, mtime=0), " GZIP "),
        (zlib.compress(BODY), "deflate"),
    ],
)
def test_a_body_is_what_it_was(content, encoding):
    assert inflate(content, encoding, len(BODY)) == BODY


def test_a_bomb_is_too_large():
    with pytest.raises(RequestTooLarge, match="larger than 1000 bytes"):
        inflate(gzip.compress(b"x" * 10_000_000), "gzip", 1000)


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (BODY, "gzip"),
        (gzip.compress(BODY, mtime=0)[:-9], "gzip"),
        (gzip.compress(BODY, mtime=0) + b"more", "gzip"),
        (b"", "gzip"),
        (BODY, "br"),
        (BODY, "gzip, gzip"),
    ],
)
def test_what_is_broken_or_unknown_is_refused(content, encoding):
    with pytest.raises(InvalidRequest):
        inflate(content, encoding, 10_000)
