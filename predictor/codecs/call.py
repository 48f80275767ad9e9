"""A decoded request: its questions, and its parameters laid over the artifact's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from predictor.codecs.strings import shown
from predictor.errors import InvalidRequest, RequestTooLarge
from predictor.types import Question, SpanParameters

# Texts are checked on the event loop: more of them would keep it from everybody else for seconds.
MOST_QUESTIONS = 16384
_OWN = ("top_k", "max_answer_length", "null_score_diff_threshold", "timeout")
# Parameters of the protocol and of Triton's clients that mean nothing to a stateless model.
_IGNORED = {"binary_data_output", "priority", "sequence_id", "sequence_start", "sequence_end"}


@dataclass(frozen=True, slots=True)
class Call:
    """A decoded request.

    Attributes:
        questions: At least one.
        parameters: The artifact's span parameters with the request's own laid over them.
        timeout: Seconds within which its runs must have started, or None.
    """

    questions: tuple[Question, ...]
    parameters: SpanParameters
    timeout: float | None


def check_count(questions: int) -> None:
    """Raises RequestTooLarge for more questions than one request may have."""
    if questions > MOST_QUESTIONS:
        raise RequestTooLarge(
            f"the request has {questions} questions; at most {MOST_QUESTIONS} are taken"
        )


def read_parameters(
    given: Mapping[str, Any], defaults: SpanParameters, max_seq_length: int
) -> tuple[SpanParameters, float | None]:
    """A Call's parameters and timeout.

    Args:
        given: The request's own, by name.
        defaults: The artifact's span parameters.
        max_seq_length: The model's window in tokens.

    Raises:
        InvalidRequest: One is unknown, or its value is not one that it can have.
    """
    if not given:
        return defaults, None
    unknown = set(given) - _IGNORED - set(_OWN)
    if unknown:
        raise InvalidRequest(
            f"unknown parameter {shown(min(unknown))}; known are {', '.join(_OWN)}"
        )
    for name, value in given.items():
        if value is None:
            raise InvalidRequest(f"parameter {name} has no value")
    changes: dict[str, Any] = {}
    if "top_k" in given:
        changes["top_k"] = _integer(given, "top_k", defaults.n_best_size)
    if "max_answer_length" in given:
        changes["max_answer_length"] = _integer(given, "max_answer_length", max_seq_length)
    if "null_score_diff_threshold" in given:
        changes["null_score_diff_threshold"] = _number(given, "null_score_diff_threshold")
    timeout = _integer(given, "timeout", 2**63) / 1e6 if "timeout" in given else None
    return replace(defaults, **changes), timeout


def _integer(given: Mapping[str, Any], name: str, most: int) -> int:
    value = _number(given, name)
    if value != int(value) or not 1 <= value <= most:
        raise InvalidRequest(f"parameter {name} must be a whole number from 1 to {most}")
    return int(value)


def _number(given: Mapping[str, Any], name: str) -> float:
    value = given[name]
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError
        number = float(value)
        if not np.isfinite(number):
            raise ValueError
    except (ValueError, OverflowError) as error:
        raise InvalidRequest(f"parameter {name} must be a finite number") from error
    return number
