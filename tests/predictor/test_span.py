"""Span extraction against a plain search over all spans."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predictor.span import extract
from predictor.types import Feature, Logits, SpanParameters

# Few distinct values, so that ties are common.
LOGITS = st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, 3.0])


def feature_of(length, context_start, first_character=0):
    """A window whose context tokens are one character each, ending before a last special token."""
    mask = np.zeros(length, dtype=bool)
    mask[context_start : length - 1] = True
    offsets = np.zeros((length, 2), dtype=np.int64)
    count = int(mask.sum())
    offsets[mask, 0] = first_character + np.arange(count)
    offsets[mask, 1] = offsets[mask, 0] + 1
    ids = np.arange(length)
    return Feature(0, ids, np.zeros_like(ids), offsets, mask)


def logits_of(values):
    return Logits(*(np.array(v, dtype=np.float32) for v in values))


def plain_search(features, logits, max_answer_length):
    """Every span of every window: {(start, end): best score}, and the null score."""
    spans = {}
    for feature, (start, end) in zip(features, logits, strict=True):
        inside = [i for i in range(len(feature)) if feature.context_mask[i]]
        for i in inside:
            for j in inside:
                if i <= j < i + max_answer_length:
                    place = (int(feature.offset_mapping[i, 0]), int(feature.offset_mapping[j, 1]))
                    spans[place] = max(spans.get(place, -math.inf), float(start[i] + end[j]))
    return spans, min(float(s[0] + e[0]) for s, e in logits)


@st.composite
def windows(draw):
    features, logits = [], []
    for first in (0, 3):
        length = draw(st.integers(4, 12))
        features.append(feature_of(length, draw(st.integers(1, 2)), first))
        row = st.lists(LOGITS, min_size=length, max_size=length)
        logits.append(logits_of((draw(row), draw(row))))
    return features, logits


@settings(deadline=None, max_examples=200)
@given(windows(), st.integers(1, 6), st.integers(1, 4))
def test_the_best_spans_are_found_in_order(case, max_answer_length, top_k):
    features, logits = case
    parameters = SpanParameters(
        top_k=top_k,
        n_best_size=1000,
        max_answer_length=max_answer_length,
        null_score_diff_threshold=None,
    )
    spans, null_score = plain_search(features, logits, max_answer_length)
    ranked = sorted(spans.items(), key=lambda item: (-item[1], item[0]))

    result = extract("abcdefghijklmnop", features, logits, parameters)

    assert [(a.start, a.end) for a in result.answers] == [place for place, _ in ranked[:top_k]]
    assert all(a.text == "abcdefghijklmnop"[a.start : a.end] for a in result.answers)
    total = sum(math.exp(score) for _, score in ranked)
    for answer, (_, score) in zip(result.answers, ranked, strict=False):
        assert answer.score == pytest.approx(math.exp(score) / total, rel=1e-5)
    assert result.null_score_diff == pytest.approx(null_score - ranked[0][1], abs=1e-5)
    assert result.sequence_length == max(map(len, features))


@settings(deadline=None)
@given(windows(), st.integers(1, 5))
def test_n_best_keeps_the_best_answer(case, n_best_size):
    features, logits = case
    few = SpanParameters(n_best_size=n_best_size, null_score_diff_threshold=None)
    many = SpanParameters(n_best_size=1000, null_score_diff_threshold=None)
    text = "abcdefghijklmnop"
    first = extract(text, features, logits, few).answers[0]
    best = extract(text, features, logits, many).answers[0]
    assert (first.start, first.end) == (best.start, best.end)


def case(null):
    feature = feature_of(5, 1)
    start, end = np.full(5, -5.0), np.full(5, -5.0)
    start[2] = end[2] = 1.0
    start[0] = end[0] = null / 2
    return [feature], [logits_of((start, end))]


def test_the_empty_answer_wins_above_the_threshold_only():
    features, logits = case(null=4.0)  # the best span scores 2: the difference is 2
    answered = extract("abcdef", features, logits, SpanParameters(null_score_diff_threshold=2.0))
    assert answered.answers[0].text == "b"
    refused = extract("abcdef", features, logits, SpanParameters(null_score_diff_threshold=1.9))
    assert (refused.answers[0].text, refused.answers[0].start, refused.answers[0].end) == ("", 0, 0)
    assert refused.null_score_diff == answered.null_score_diff == 2.0
    assert refused.answers[0].score == pytest.approx(
        math.exp(4) / (math.exp(4) + math.exp(2)), 0.01
    )


def test_without_threshold_there_is_always_an_answer():
    features, logits = case(null=40.0)
    result = extract("abcdef", features, logits, SpanParameters(null_score_diff_threshold=None))
    assert result.answers[0].text == "b"


def test_a_refusal_is_followed_by_the_best_spans():
    features, logits = case(null=40.0)
    result = extract("abcdef", features, logits, SpanParameters(top_k=3))
    assert [a.text for a in result.answers][:2] == ["", "b"]
    assert len(result.answers) == 3


def test_no_context_token_means_no_answer():
    feature = feature_of(3, 2)
    result = extract("", [feature], [logits_of(([0] * 3, [0] * 3))], SpanParameters(top_k=2))
    assert [(a.text, a.score) for a in result.answers] == [("", 1.0)]
    assert math.isfinite(result.null_score_diff)


def test_the_null_score_is_the_smallest_over_the_windows():
    (feature,), (low,) = case(null=0.0)
    _, (high,) = case(null=9.0)
    result = extract("abcdef", [feature, feature], [high, low], SpanParameters())
    assert result.null_score_diff == -2.0
