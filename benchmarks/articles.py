"""SQuAD files by article: what figures are of, and what thresholds are chosen on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchmarkError
from optimize.data import squad
from optimize.data.squad import Example

THRESHOLD_ARTICLES = ("Huguenot", "Yuan_dynasty", "Islamism", "Warsaw")


@dataclass(frozen=True)
class Questions:
    """The questions that figures are of, and those that thresholds are chosen on."""

    measured: Sequence[Example]
    threshold: Sequence[Example]

    @classmethod
    def read(cls, dataset: Path, titles: Sequence[str], sample: int | None) -> Questions:
        """Divides a SQuAD file by the titles of its articles.

        Args:
            dataset: The file.
            titles: Of the articles that thresholds are chosen on.
            sample: How many questions to draw of either part, None for all.

        Raises:
            SourceError: The file cannot be read.
            BenchmarkError: It has no such article, or no other.
        """
        examples = squad.read(dataset)
        if absent := sorted(set(titles) - {example.title for example in examples}):
            raise BenchmarkError(f"{dataset}: has no article {', '.join(absent)}")
        chosen = [example for example in examples if example.title in titles]
        others = [example for example in examples if example.title not in titles]
        if not chosen or not others:
            raise BenchmarkError(f"{dataset}: no article is left to choose on, or to measure on")
        return cls(squad.sample(others, sample), squad.sample(chosen, sample))
