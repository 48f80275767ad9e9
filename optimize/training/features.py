"""SQuAD questions → what a model is trained on: token ids, and the tokens an answer spans."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from optimize.data.squad import Example
from optimize.errors import SourceError
from predictor.errors import QuestionTooLong
from predictor.tokenization import FeatureTokenizer
from predictor.types import Feature, Question

logger = logging.getLogger("optimize")

_CHUNK = 1024


@dataclass(frozen=True, slots=True, eq=False)
class TrainingFeature:
    """One window of a question and its context, with its target.

    Attributes:
        input_ids: int32 (seq,), special tokens included, no padding.
        token_type_ids: uint8 (seq,).
        start, end: First and last token of the answer; both 0, the null, where there is none.
    """

    input_ids: NDArray[np.int32]
    token_type_ids: NDArray[np.uint8]
    start: int
    end: int

    def __len__(self) -> int:
        return len(self.input_ids)


def features(examples: Sequence[Example], tokenizer: FeatureTokenizer) -> list[TrainingFeature]:
    """Every window with an answer, and of those without one the first of each question.

    Windows beside the answer would otherwise outnumber all others where contexts are long.

    Args:
        examples: Of questions with answers, the first answer is the target.
        tokenizer: Makes the windows.

    Raises:
        SourceError: The file does not say where answers begin, or says it wrongly.
    """
    made: list[TrainingFeature] = []
    for first in range(0, len(examples), _CHUNK):
        part = examples[first : first + _CHUNK]
        for example in part:
            _check(example)
        without: set[int] = set()
        for window in _windows(part, tokenizer):
            index = window.question_index
            start, end = _target(part[index], window)
            if not end:
                if index in without:
                    continue
                without.add(index)
            made.append(
                TrainingFeature(
                    window.input_ids.astype(np.int32),
                    window.token_type_ids.astype(np.uint8),
                    start,
                    end,
                )
            )
    return made


def _windows(part: Sequence[Example], tokenizer: FeatureTokenizer) -> list[Feature]:
    """The windows of some questions but those that are too long for one."""
    questions = [Question(example.question, example.context) for example in part]
    try:
        return tokenizer.features(questions)
    except QuestionTooLong:
        pass
    windows: list[Feature] = []
    for index, question in enumerate(questions):
        try:
            own = tokenizer.features([question])
        except QuestionTooLong as error:
            logger.warning("question %r is left out: %s", part[index].id, error)
        else:
            windows += [replace(window, question_index=index) for window in own]
    return windows


def _check(example: Example) -> None:
    if not example.answers:
        return
    if not example.starts:
        raise SourceError(f"question {example.id!r}: its answers have no answer_start")
    start, text = example.starts[0], example.answers[0]
    if not text or example.context[start : start + len(text)] != text:
        raise SourceError(f"question {example.id!r}: its answer is not at its answer_start")


def _target(example: Example, window: Feature) -> tuple[int, int]:
    """First and last token of the answer where the window has all of it, else twice 0."""
    if not example.answers:
        return 0, 0
    begin = example.starts[0]
    stop = begin + len(example.answers[0])
    starts, ends = window.offset_mapping.T
    inside = np.flatnonzero(window.context_mask & (starts < stop) & (ends > begin))
    if not len(inside) or starts[inside[0]] > begin or ends[inside[-1]] < stop:
        return 0, 0
    return int(inside[0]), int(inside[-1])
