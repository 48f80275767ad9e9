"""The values that pass between the stages of the predictor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]

Batch = dict[str, IntArray]
"""Input name → int64 (rows, longest), right-padded."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a context, as the client wrote both."""

    question: str
    context: str


@dataclass(frozen=True, slots=True, eq=False)
class Feature:
    """One tokenized window of a question and its context.

    Attributes:
        question_index: Which of the request's questions the window belongs to.
        input_ids: int64 (seq,), special tokens included, no padding.
        token_type_ids: int64 (seq,).
        offset_mapping: int64 (seq, 2), code points of the context, half open; zero outside of it.
        context_mask: bool (seq,), true where the token belongs to the context.
    """

    question_index: int
    input_ids: IntArray
    token_type_ids: IntArray
    offset_mapping: IntArray
    context_mask: BoolArray

    def __len__(self) -> int:
        return len(self.input_ids)


class Logits(NamedTuple):
    """Model outputs: float32, (rows, longest) for a batch, (seq,) for one feature."""

    start: FloatArray
    end: FloatArray


@dataclass(frozen=True, slots=True)
class Span:
    """A candidate answer: code points of the context, half open, and start plus end logit."""

    start: int
    end: int
    logit: float


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with its probability; the empty answer has empty text and start = end = 0."""

    text: str
    score: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Result:
    """What is known about one question.

    Attributes:
        answers: Best first, at least one, at most `top_k`.
        null_score_diff: Null score minus the best span's score; over the threshold means no answer.
        sequence_length: Tokens of the longest window, padding excluded.
    """

    answers: tuple[Answer, ...]
    null_score_diff: float
    sequence_length: int


@dataclass(frozen=True, slots=True)
class SpanParameters:
    """How spans are chosen. A threshold of None switches the empty answer off.

    Attributes:
        top_k: Answers per question.
        n_best_size: Candidates kept per window.
        max_answer_length: Longest span, in tokens.
        null_score_diff_threshold: The empty answer wins when null score − best span exceeds it.
    """

    top_k: int = 1
    n_best_size: int = 20
    max_answer_length: int = 30
    null_score_diff_threshold: float | None = 0.0


@dataclass(slots=True)
class Timings:
    """Seconds spent in each stage of a request."""

    tokenize: float = 0.0
    queue: float = 0.0
    run: float = 0.0
    extract: float = 0.0

    def stages(self) -> dict[str, float]:
        """Seconds by stage, in the order in which they happen."""
        return {
            "tokenize": self.tokenize,
            "queue": self.queue,
            "run": self.run,
            "extract": self.extract,
        }

    def server_timing(self) -> str:
        """The value of the `Server-Timing` header, in milliseconds."""
        return ", ".join(
            f"{name};dur={seconds * 1e3:.3f}" for name, seconds in self.stages().items()
        )
