"""Start and end logits → n-best answers and the null score difference, vectorised in numpy.

The rules are those of the SQuAD v2 baselines: a candidate is a start and an end token of one
window, its score the sum of their logits; the null score is that of the first token, the smallest
over the windows. Unlike the usual scripts every candidate up to the longest answer is considered,
not only pairs of the best starts and ends, and overlapping windows give one candidate per span.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from predictor.types import Answer, Feature, FloatArray, Logits, Result, Span, SpanParameters


def extract(
    context: str,
    features: Sequence[Feature],
    logits: Sequence[Logits],
    parameters: SpanParameters,
) -> Result:
    """Answers one question from all windows of its context.

    Args:
        context: The text that the offsets refer to.
        features: The windows, at least one.
        logits: Start and end logits of each window, (seq,).
        parameters: How many answers, how long, and when none.
    """
    best: dict[tuple[int, int], float] = {}
    for feature, window in zip(features, logits, strict=True):
        for span in window_spans(feature, window, parameters):
            place = (span.start, span.end)
            best[place] = max(span.logit, best.get(place, -np.inf))
    # Higher score first; of equal ones the earlier, then the shorter.
    ranked = sorted(best.items(), key=lambda item: (-item[1], item[0]))

    null_score = float(min(np.float32(w.start[0]) + np.float32(w.end[0]) for w in logits))
    threshold = parameters.null_score_diff_threshold
    difference = null_score - ranked[0][1] if ranked else float(np.finfo(np.float32).max)

    scores = [score for _, score in ranked]
    probabilities = _softmax(np.array([*scores, null_score] if threshold is not None else scores))
    answers = [
        Answer(context[start:end], float(probability), start, end)
        for ((start, end), _), probability in zip(
            ranked[: parameters.top_k], probabilities, strict=False
        )
    ]
    no_answer = not ranked or (threshold is not None and difference > threshold)
    if no_answer:
        answers.insert(0, Answer("", float(probabilities[-1]) if len(probabilities) else 0.0, 0, 0))
    return Result(
        answers=tuple(answers[: parameters.top_k]),
        null_score_diff=difference,
        sequence_length=max(len(feature) for feature in features),
    )


def window_spans(feature: Feature, logits: Logits, parameters: SpanParameters) -> list[Span]:
    """The n-best spans of one window, best first; ties go to the earlier start, then end."""
    context = np.flatnonzero(feature.context_mask)
    if not len(context):
        return []
    first, count = int(context[0]), len(context)  # the context's tokens are neighbours
    scores = _band(
        logits.start[first : first + count],
        logits.end[first : first + count],
        parameters.max_answer_length,
    )  # (count, longest), flat: start-major, then end
    longest = min(parameters.max_answer_length, count)
    offsets = feature.offset_mapping[first : first + count]
    spans = []
    for position in _largest(scores.ravel(), parameters.n_best_size):
        start, length = divmod(int(position), longest)
        score = float(scores[start, length])
        if score == -np.inf:
            break
        spans.append(Span(int(offsets[start, 0]), int(offsets[start + length, 1]), score))
    return spans


def _band(start: FloatArray, end: FloatArray, max_answer_length: int) -> FloatArray:
    """Score of each start (rows) with the end 0, 1, … tokens later; -inf past the last token."""
    longest = min(max_answer_length, len(start))
    padded = np.concatenate([end, np.full(longest - 1, -np.inf, dtype=np.float32)])
    ends = np.lib.stride_tricks.sliding_window_view(padded, longest)  # (count, longest)
    band: FloatArray = start[:, None] + ends
    return band


def _largest(values: FloatArray, count: int) -> np.ndarray:
    """Positions of the `count` largest values, largest first, equal ones in order of position."""
    if len(values) > count:
        least = np.partition(values, len(values) - count)[len(values) - count]
        positions = np.flatnonzero(values >= least)
    else:
        positions = np.arange(len(values))
    order = np.argsort(-values[positions], kind="stable")
    return positions[order][:count]


def _softmax(scores: np.ndarray) -> np.ndarray:
    if not len(scores):
        return scores
    shifted: np.ndarray = np.exp(scores - scores.max())
    shifted /= shifted.sum()
    return shifted
