"""The figures are those of the official script on whatever is answered."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from optimize.data import metrics
from optimize.data.metrics import Prediction
from optimize.data.squad import Example
from tests.optimize.data.official import assert_official

WORDS = ["a", "an", "The", "fox", "Fox's", "foxes", "U.S.", "1,000", "—", "'", "ﬁn", "İ", "ß", "狐"]
SEPARATORS = [" ", "", "  ", "-", "\u00a0", "\u3000", "\t", ", "]


@st.composite
def texts(draw):
    """Few words in many spellings, so that answers often meet; now and then any text."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.text(max_size=8))
    words = draw(st.lists(st.sampled_from(WORDS), max_size=4))
    return draw(st.sampled_from(SEPARATORS)).join(words)


# Few values, so that some are equal, also to the threshold.
DIFFERENCES = st.one_of(st.integers(-3, 3).map(float), st.floats(-20, 20))
QUESTIONS = st.lists(
    st.tuples(st.lists(texts(), max_size=3), texts(), DIFFERENCES), min_size=1, max_size=12
)


def score(questions, threshold):
    examples = [
        Example(str(n), "t", "q", "c", tuple(answers))
        for n, (answers, _, _) in enumerate(questions)
    ]
    predictions = {
        str(n): Prediction(best, difference) for n, (_, best, difference) in enumerate(questions)
    }
    return metrics.score(examples, predictions, threshold), examples, predictions


@given(QUESTIONS, DIFFERENCES)
def test_all_figures_are_the_official_ones(questions, threshold):
    scores, examples, predictions = score(questions, threshold)
    assert_official(scores, examples, predictions, threshold)


@given(
    st.lists(
        st.tuples(st.lists(texts(), max_size=3), texts(), st.floats(-20, 20)),
        min_size=1,
        max_size=12,
        unique_by=lambda question: question[2],
    )
)
def test_the_best_threshold_gives_the_best_figure(questions):
    """Also where answering none is best, of which the official script's 0 may not be true.

    A text that normalizes to nothing, "a" say, is right for a question without an answer, but the
    official search for the threshold takes it for wrong. Ours follows it.
    """
    assume(all(bool(best) == bool(metrics.normalize_answer(best)) for _, best, _ in questions))
    scores, examples, predictions = score(questions, 0.0)
    at_f1 = metrics.score(examples, predictions, scores.best_f1_threshold)
    at_exact = metrics.score(examples, predictions, scores.best_exact_match_threshold)
    assert at_f1.f1 == pytest.approx(scores.best_f1)
    assert at_exact.exact_match == pytest.approx(scores.best_exact_match)
