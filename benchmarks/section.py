"""The part of the README that a make target writes: what is between its two markers."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.errors import BenchmarkError


@dataclass(frozen=True)
class Section:
    """A target's part, known by the target's name."""

    target: str

    @property
    def begin(self) -> str:
        """The marker before it."""
        return f"<!-- {self.target}: written by make {self.target} -->"

    @property
    def end(self) -> str:
        """The marker after it."""
        return f"<!-- /{self.target} -->"

    def between(self, text: str, content: str) -> str:
        """The text with the content between the markers; raises BenchmarkError without them."""
        before, begin, rest = text.partition(self.begin)
        _, end, after = rest.partition(self.end)
        if not begin or not end:
            raise BenchmarkError(f"the README has no {self.begin} … {self.end}")
        return f"{before}{begin}\n\n{content}\n\n{end}{after}"
