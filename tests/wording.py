"""What no text for a client may hold."""

from __future__ import annotations

import re

# What only a defect of the server, or its language, would say to a client.
INTERNAL = re.compile(
    r"Traceback|File \"|\.py\b|\w(Error|Exception|Warning)\b|\bNone(Type)?\b|object at 0x|<class"
    r"|pydantic|kserve|numpy|starlette"
)
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")


def own_words(text: str) -> str:
    """A refusal without what it repeats of the request, which is in quotes."""
    return _QUOTED.sub("…", text)
