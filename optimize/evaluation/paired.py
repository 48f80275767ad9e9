"""How much F1 a step loses, compared question by question, and how sure that is.

Two steps answer the same questions, so most of what makes one question harder than another cancels
out. The interval is the percentile bootstrap's over the questions (Efron 1979; Berg-Kirkpatrick,
Burkett and Klein 2012 for paired comparisons of this kind).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optimize.errors import GateFailed

_RESAMPLES = 10_000
_CERTAIN = (2.5, 97.5)
_NORMAL_95 = 1.96


@dataclass(frozen=True)
class Loss:
    """What a step loses against a reference, in F1 points; negative where it gains.

    Attributes:
        points: The mean over the questions.
        interval: Its 95 % confidence interval.
        questions: How many were compared.
        needed: How many questions would tell a loss of this size from none; None where there is
            no loss.
    """

    points: float
    interval: tuple[float, float]
    questions: int
    needed: int | None

    @property
    def certain(self) -> bool:
        """Whether the interval holds losses alone."""
        return self.interval[0] > 0

    def __str__(self) -> str:
        """For people."""
        low, high = self.interval
        return f"{self.points:.2f} points (95 %: {low:.2f} to {high:.2f})"


def check(step: str, found: Loss, before: str, *, most: float, strict: bool) -> str | None:
    """Gates a loss: refused where it is over the bound and no chance.

    Args:
        step, before: What was compared, by name.
        found: What the step loses.
        most: The bound, in F1 points.
        strict: Whether a loss over the bound is refused where it may be chance, too.

    Returns:
        A warning where the loss is over the bound and may be chance.

    Raises:
        GateFailed: It is refused.
    """
    if found.points <= most:
        return None
    text = f"{step}: F1 is {found} below that of {before}; the bound is {most}"
    if found.certain:
        raise GateFailed(text)
    text += f"; {found.questions} questions do not tell it from chance, about {found.needed} would"
    if strict:
        raise GateFailed(text)
    return text


def loss(step: Sequence[float], reference: Sequence[float], seed: int = 0) -> Loss:
    """Compares the F1 of two steps.

    Args:
        step, reference: F1 of each question, 0 to 1, in the same order; at least one.
        seed: Of the resampling; the same figures give the same interval.
    """
    differences = 100 * (np.asarray(reference) - np.asarray(step))
    count, mean = len(differences), float(differences.mean())
    # Most questions are answered alike: resampling the few distinct differences is the same.
    values, times = np.unique(differences, return_counts=True)
    draws = np.random.default_rng(seed).multinomial(count, times / count, size=_RESAMPLES)
    low, high = np.percentile(draws @ values / count, _CERTAIN)
    deviation = float(differences.std(ddof=1)) if count > 1 else 100.0
    needed = math.ceil((_NORMAL_95 * deviation / mean) ** 2) if mean > 0 else None
    return Loss(mean, (float(low), float(high)), count, needed)
