"""The official metrics of SQuAD: EM, F1, their parts, and the best null threshold.

Normalization and scores follow the official evaluate-v2.0 (Rajpurkar et al., ACL 2018).
"""

from __future__ import annotations

import collections
import itertools
import math
import re
import statistics
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from optimize.data.squad import Example

_NORMAL_95 = 1.96
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = frozenset(string.punctuation)


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
        best_exact_match: The same of EM.
    """

    questions: int
    exact_match: float
    f1: float
    f1_interval: float
    has_answer_f1: float | None
    no_answer_f1: float | None
    best_f1: float
    best_f1_threshold: float
    has_answer_exact_match: float | None = None
    no_answer_exact_match: float | None = None
    best_exact_match: float | None = None
    best_exact_match_threshold: float | None = None


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
    f1s = _Values.of(f1, examples, answered)
    exact = _Values.of(exact_match, examples, answered)
    at_f1, at_exact = f1s.at(threshold), exact.at(threshold)
    has = [bool(example.answers) for example in examples]
    has_no = [not answerable for answerable in has]
    best_f1, best_f1_threshold = f1s.best_threshold()
    best_exact, best_exact_threshold = exact.best_threshold()
    return Scores(
        questions=len(examples),
        exact_match=_percent(at_exact),
        f1=_percent(at_f1),
        f1_interval=_interval(at_f1),
        has_answer_f1=_percent_of(at_f1, has),
        no_answer_f1=_percent_of(at_f1, has_no),
        best_f1=best_f1,
        best_f1_threshold=best_f1_threshold,
        has_answer_exact_match=_percent_of(at_exact, has),
        no_answer_exact_match=_percent_of(at_exact, has_no),
        best_exact_match=best_exact,
        best_exact_match_threshold=best_exact_threshold,
    )


def f1_of_each(
    examples: Sequence[Example], predictions: Mapping[str, Prediction], threshold: float | None
) -> list[float]:
    """F1 of every question's answer, 0 to 1, at a null threshold; None never refuses."""
    return _Values.of(f1, examples, [predictions[e.id] for e in examples]).at(threshold)


@dataclass(frozen=True)
class _Values:
    """A metric's value of each question if its best span is the answer."""

    examples: Sequence[Example]
    predictions: Sequence[Prediction]
    values: Sequence[float]

    @classmethod
    def of(
        cls,
        metric: Callable[[str, str], float],
        examples: Sequence[Example],
        predictions: Sequence[Prediction],
    ) -> _Values:
        values = [
            max(metric(prediction.best, truth) for truth in _truths(example))
            for example, prediction in zip(examples, predictions, strict=True)
        ]
        return cls(examples, predictions, values)

    def at(self, threshold: float | None) -> list[float]:
        """The values where the empty answer wins above a threshold; it is right without answers."""
        return [
            float(not example.answers)
            if threshold is not None and prediction.null_score_diff > threshold
            else value
            for example, prediction, value in zip(
                self.examples, self.predictions, self.values, strict=True
            )
        ]

    def best_threshold(self) -> tuple[float, float]:
        """The best mean, and its threshold, letting one question after the other be answered.

        Where answering none is best, the threshold is just below all differences; the official
        script says 0 there, at which some may be answered.
        """
        total = best = float(sum(not example.answers for example in self.examples))
        threshold = math.nextafter(min(p.null_score_diff for p in self.predictions), -math.inf)
        # Of equal differences the earlier question is answered first, as in the official script.
        order = sorted(range(len(self.values)), key=lambda i: self.predictions[i].null_score_diff)
        for position in order:
            prediction = self.predictions[position]
            if self.examples[position].answers:
                total += self.values[position]
            elif prediction.best:
                total -= 1.0
            if total > best:
                best, threshold = total, prediction.null_score_diff
        return 100 * best / len(self.values), threshold


def _truths(example: Example) -> list[str]:
    # Accepted answers that normalize to nothing do not count, as in the official script.
    return [answer for answer in example.answers if normalize_answer(answer)] or [""]


def _interval(values: Sequence[float]) -> float:
    """Half the width of the mean's 95 % confidence interval, in percent (normal approximation)."""
    if len(values) < 2:
        return 100.0
    return 100 * _NORMAL_95 * statistics.stdev(values) / math.sqrt(len(values))


def _percent(values: Sequence[float]) -> float:
    return 100 * sum(values) / len(values)


def _percent_of(values: Sequence[float], chosen: Sequence[bool]) -> float | None:
    """The mean of some of the values in percent; None where there are none of them."""
    some = list(itertools.compress(values, chosen))
    return _percent(some) if some else None
