"""SQuAD files and the official metrics: EM, F1, their parts, and the best null threshold.

Normalization and scores follow the official evaluate-v2.0 (Rajpurkar et al., ACL 2018).
"""

from __future__ import annotations

import collections
import gzip
import json
import math
import random
import re
import statistics
import string
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optimize.errors import SourceError

_NORMAL_95 = 1.96
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = frozenset(string.punctuation)


@dataclass(frozen=True)
class Example:
    """One question with its accepted answers; none where it has no answer."""

    id: str
    title: str
    question: str
    context: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Prediction:
    """The best span's text, and null score − best span's score."""

    best: str
    null_score_diff: float


@dataclass(frozen=True)
class Scores:
    """Percentages over all questions, and over those with and without an answer.

    Attributes:
        f1_interval: Half the width of F1's 95 % confidence interval, the questions being a sample.
        best_f1: F1 at the threshold that gives the best one, `best_f1_threshold`.
    """

    questions: int
    exact_match: float
    f1: float
    f1_interval: float
    has_answer_f1: float | None
    no_answer_f1: float | None
    best_f1: float
    best_f1_threshold: float


def read(path: Path) -> list[Example]:
    """Reads a SQuAD v1 or v2 file, plain or gzipped.

    Raises:
        SourceError: It is absent or not in SQuAD's layout.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            document: Any = json.load(stream)
        examples = [
            Example(
                id=qa["id"],
                title=article.get("title", ""),
                question=qa["question"],
                context=paragraph["context"],
                answers=()
                if qa.get("is_impossible", False)
                else tuple(answer["text"] for answer in qa["answers"]),
            )
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
        texts = (example.id, example.question, example.context, *example.answers)
        if not all(isinstance(text, str) for text in texts):
            raise SourceError(f"{path}: question {example.id!r} holds something that is no text")
        if example.id in seen:
            raise SourceError(f"{path}: question id {example.id!r} is there twice")
        seen.add(example.id)
    return examples


def normalize_answer(text: str) -> str:
    """Lower case, without punctuation, articles and repeated spaces."""
    text = "".join(character for character in text.lower() if character not in _PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", text).split())


def exact_match(answer: str, truth: str) -> float:
    """1.0 where both normalize to the same text."""
    return float(normalize_answer(answer) == normalize_answer(truth))


def f1(answer: str, truth: str) -> float:
    """Harmonic mean of precision and recall over the words of both."""
    predicted, expected = normalize_answer(answer).split(), normalize_answer(truth).split()
    if not predicted or not expected:
        return float(predicted == expected)
    common = sum((collections.Counter(predicted) & collections.Counter(expected)).values())
    if not common:
        return 0.0
    precision, recall = common / len(predicted), common / len(expected)
    return 2 * precision * recall / (precision + recall)


def score(
    examples: Sequence[Example],
    predictions: Mapping[str, Prediction],
    threshold: float | None,
) -> Scores:
    """The official figures at a null threshold, and at the best one.

    Args:
        examples: The data set.
        predictions: One for each example's id.
        threshold: The empty answer wins above it; None never lets it win.
    """
    answered = [predictions[example.id] for example in examples]
    texts = [
        "" if threshold is not None and p.null_score_diff > threshold else p.best for p in answered
    ]
    f1s = [_best(f1, text, e) for text, e in zip(texts, examples, strict=True)]
    has = [value for value, e in zip(f1s, examples, strict=True) if _truths(e) != [""]]
    has_no = [value for value, e in zip(f1s, examples, strict=True) if _truths(e) == [""]]
    best_f1, best_threshold = _best_threshold(examples, answered)
    return Scores(
        questions=len(examples),
        exact_match=_percent(
            _best(exact_match, text, e) for text, e in zip(texts, examples, strict=True)
        ),
        f1=_percent(f1s),
        f1_interval=_interval(f1s),
        has_answer_f1=_percent(has) if has else None,
        no_answer_f1=_percent(has_no) if has_no else None,
        best_f1=best_f1,
        best_f1_threshold=best_threshold,
    )


def _best_threshold(
    examples: Sequence[Example], predictions: Sequence[Prediction]
) -> tuple[float, float]:
    """Best F1 and its threshold, found by letting one question after the other be answered."""
    without = sum(_truths(example) == [""] for example in examples)
    total = best = float(without)
    threshold = min(p.null_score_diff for p in predictions)
    order = sorted(range(len(examples)), key=lambda i: predictions[i].null_score_diff)
    for position in order:
        prediction, example = predictions[position], examples[position]
        if _truths(example) == [""]:
            total += (0.0 if prediction.best else 1.0) - 1.0
        else:
            total += _best(f1, prediction.best, example)
        if total > best:
            best, threshold = total, prediction.null_score_diff
    return 100 * best / len(examples), threshold


def _truths(example: Example) -> list[str]:
    # Accepted answers that normalize to nothing do not count, as in the official script.
    return [answer for answer in example.answers if normalize_answer(answer)] or [""]


def _best(metric: Callable[[str, str], float], text: str, example: Example) -> float:
    return max(metric(text, truth) for truth in _truths(example))


def sample(examples: Sequence[Example], count: int | None, seed: int = 0) -> list[Example]:
    """So many of the questions, drawn without replacement and in their order; all for None."""
    if count is None or count >= len(examples):
        return list(examples)
    chosen = random.Random(seed).sample(range(len(examples)), count)
    return [examples[position] for position in sorted(chosen)]


def _interval(values: Sequence[float]) -> float:
    """Half the width of the mean's 95 % confidence interval, in percent (normal approximation)."""
    if len(values) < 2:
        return 100.0
    return 100 * _NORMAL_95 * statistics.stdev(values) / math.sqrt(len(values))


def _percent(values: Iterable[float]) -> float:
    values = list(values)
    return 100 * sum(values) / len(values)
