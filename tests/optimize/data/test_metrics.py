"""The official metrics, on cases worked out by hand."""

import pytest

from optimize.data import metrics, squad
from optimize.data.metrics import Prediction
from optimize.data.squad import Example


@pytest.mark.parametrize(
    ("text", "normal"),
    [("The  Cat!", "cat"), ("an apple, a day", "apple day"), ("Theatre", "theatre"), ("—", "—")],
)
def test_normalize_answer(text, normal):
    assert metrics.normalize_answer(text) == normal


@pytest.mark.parametrize(
    ("answer", "truth", "value"),
    [
        ("the second little pig", "second little pig", 1.0),
        ("second pig", "the second little pig", 0.8),  # precision 1, recall 2/3
        ("straw", "sticks", 0.0),
        ("", "", 1.0),
        ("", "pig", 0.0),
        ("a a b", "a b b", 2 / 3),  # the article goes: b against b b
    ],
)
def test_f1(answer, truth, value):
    assert metrics.f1(answer, truth) == pytest.approx(value)


def example(name, *answers):
    return Example(name, "t", "q", "c", answers)


EXAMPLES = [example("1", "red fox", "fox"), example("2"), example("3", "blue"), example("4")]
PREDICTIONS = {
    "1": Prediction("fox", -3.0),
    "2": Prediction("cat", -1.0),
    "3": Prediction("deep blue", 0.5),
    "4": Prediction("dog", 2.0),
}


def test_score_at_a_threshold():
    scores = metrics.score(EXAMPLES, PREDICTIONS, threshold=0.0)
    # 1 right, 2 answered in vain, 3 refused in vain, 4 refused rightly.
    assert (scores.exact_match, scores.f1) == (50.0, 50.0)
    assert (scores.has_answer_f1, scores.no_answer_f1) == (50.0, 50.0)
    assert (scores.has_answer_exact_match, scores.no_answer_exact_match) == (50.0, 50.0)


def test_the_interval_covers_the_whole_as_often_as_it_says():
    """Of many samples of a known whole, about 95 % have its F1 within their interval."""
    whole = [example(str(n), "blue") for n in range(2000)]
    said = {e.id: Prediction("blue" if int(e.id) % 10 < 6 else "red", -1.0) for e in whole}
    draws = [metrics.score(squad.sample(whole, 200, seed), said, 0.0) for seed in range(400)]
    covered = sum(abs(drawn.f1 - 60.0) <= drawn.f1_interval for drawn in draws)
    assert 0.92 < covered / len(draws) < 0.99
    assert draws[0].f1_interval == pytest.approx(6.8, abs=0.3)


def test_the_best_threshold():
    scores = metrics.score(EXAMPLES, PREDICTIONS, threshold=0.0)
    # Answering 1 alone: 1 + 1 (2 refused) + 0 + 1 = 3 of 4.
    assert (scores.best_f1, scores.best_f1_threshold) == (75.0, -3.0)
    reached = metrics.score(EXAMPLES, PREDICTIONS, scores.best_f1_threshold)
    assert reached.f1 == scores.best_f1


def test_without_a_threshold_everything_is_answered():
    scores = metrics.score(EXAMPLES, PREDICTIONS, threshold=None)
    assert scores.no_answer_f1 == 0.0
    assert scores.f1 == pytest.approx(100 * (1 + 0 + 2 / 3 + 0) / 4)


def test_an_answer_that_normalizes_to_nothing_does_not_count():
    """The official script then takes an empty answer, but not a refusal: there is an answer."""
    only = [example("1", "the")]
    assert metrics.score(only, {"1": Prediction("", -9.0)}, 0.0).has_answer_f1 == 100.0
    assert metrics.score(only, {"1": Prediction("x", 9.0)}, 0.0).has_answer_f1 == 0.0


def test_where_refusing_all_is_best_the_threshold_refuses_all():
    examples = [example("1"), example("2")]
    predictions = {"1": Prediction("x", -5.0), "2": Prediction("y", -4.0)}
    scores = metrics.score(examples, predictions, 0.0)
    assert (scores.f1, scores.best_f1) == (0.0, 100.0)
    assert metrics.score(examples, predictions, scores.best_f1_threshold).f1 == 100.0
