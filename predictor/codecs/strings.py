"""Strings that a client wrote: one that can be read, and one as an error shows it."""

from __future__ import annotations

import reprlib

from predictor.errors import InvalidRequest

_BRIEF = reprlib.Repr()
_BRIEF.maxstring = 80


def shown(value: str | list[int]) -> str:
    """What a client wrote, cut to what an error's text has room for."""
    return _BRIEF.repr(value)


def text(value: object, where: str) -> str:
    """A string that can be read.

    Raises:
        InvalidRequest: It is no string, not valid UTF-8, or blank.
    """
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError as error:
            raise InvalidRequest(f"{where} is not valid UTF-8") from error
    if not isinstance(value, str):
        raise InvalidRequest(f"{where} is not a string")
    if not value.strip():
        raise InvalidRequest(f"{where} is empty")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:  # JSON can spell half of a surrogate pair
            raise InvalidRequest(f"{where} is not valid UTF-8") from error
    return value
