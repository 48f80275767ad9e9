"""Gives memory back between steps, each of which takes several times the model; its peak."""

from __future__ import annotations

import ctypes
import functools
import gc
import resource
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")


def freed_afterwards(step: Callable[_P, _R]) -> Callable[_P, _R]:
    """A step that leaves nothing behind: converters leave cycles, and the allocator keeps pages."""

    @functools.wraps(step)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return step(*args, **kwargs)
        finally:
            free()

    return wrapped


def free() -> None:
    """Collects garbage, and returns unused pages where the C library can."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def peak_mib() -> int:
    """The largest resident memory of this process so far, in MiB; it never falls again."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10))
