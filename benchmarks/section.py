"""The part of a page that a make target writes: what is between its two markers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from benchmarks.artifact import ROOT
from benchmarks.errors import BenchmarkError

PAGE = ROOT / "docs" / "benchmarks.md"


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

    def filled(self, page: Path, content: str) -> str:
        """The page's text with the content between the markers.

        Raises:
            BenchmarkError: The page lacks the markers.
            OSError: It cannot be read.
        """
        before, begin, rest = page.read_text("utf-8").partition(self.begin)
        _, end, after = rest.partition(self.end)
        if not begin or not end:
            raise BenchmarkError(f"{page} has no {self.begin} … {self.end}")
        return f"{before}{begin}\n\n{content}\n\n{end}{after}"


def link(page: Path, target: Path) -> str:
    """Where a file lies, seen from a page."""
    return Path(os.path.relpath(target, page.parent)).as_posix()
