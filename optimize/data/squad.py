"""SQuAD files: their questions, and samples of them."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optimize.errors import SourceError


@dataclass(frozen=True)
class Example:
    """One question with its accepted answers; none where it has no answer.

    Attributes:
        starts: Where each answer begins, in code points of the context; empty where the file does
            not say it.
    """

    id: str
    title: str
    question: str
    context: str
    answers: tuple[str, ...]
    starts: tuple[int, ...] = ()


def read(path: Path) -> list[Example]:
    """Reads a SQuAD v1 or v2 file, plain or gzipped.

    Raises:
        SourceError: It is absent or not in SQuAD's layout.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            document: Any = json.load(stream)
        examples = [
            _example(article.get("title", ""), paragraph["context"], qa)
            for article in document["data"]
            for paragraph in article["paragraphs"]
            for qa in paragraph["qas"]
        ]
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(
            f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"{path}: not a SQuAD file ({error!r})") from error
    if not examples:
        raise SourceError(f"{path}: holds no question")
    seen: set[str] = set()
    for example in examples:
        texts = (
            example.id,
            example.title,
            example.question,
            example.context,
            *example.answers,
        )
        if not all(isinstance(text, str) for text in texts):
            raise SourceError(f"{path}: question {example.id!r} holds something that is no text")
        if example.id in seen:
            raise SourceError(f"{path}: question id {example.id!r} is there twice")
        seen.add(example.id)
    return examples


def _example(title: str, context: str, qa: Mapping[str, Any]) -> Example:
    answers = [] if qa.get("is_impossible", False) else qa["answers"]
    starts = tuple(answer.get("answer_start") for answer in answers)
    return Example(
        id=qa["id"],
        title=title,
        question=qa["question"],
        context=context,
        answers=tuple(answer["text"] for answer in answers),
        starts=starts if all(isinstance(start, int) for start in starts) else (),
    )


def shared(one: Sequence[Example], other: Sequence[Example]) -> int:
    """How many questions of one data set, with their contexts, stand in another too."""
    asked = {(example.question, example.context) for example in one}
    return len(asked & {(example.question, example.context) for example in other})


def sample(examples: Sequence[Example], count: int | None, seed: int = 0) -> list[Example]:
    """So many of the questions, drawn without replacement and in their order; all for None."""
    if count is None or count >= len(examples):
        return list(examples)
    chosen = random.Random(seed).sample(range(len(examples)), count)
    return [examples[position] for position in sorted(chosen)]
