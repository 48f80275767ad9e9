"""The one error of the benchmarks."""

from __future__ import annotations


class BenchmarkError(Exception):
    """A measurement cannot be made or trusted; the text says why in one line."""
