"""The null threshold that is chosen: where F1 is best, whichever questions are drawn."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimize.data import metrics
from optimize.data.metrics import Prediction
from optimize.data.squad import Example
from optimize.evaluation import threshold


def asked(*kinds):
    """Questions, answerable ("yes") or not, each with its null score difference."""
    examples = [
        Example(str(i), "", "?", "x", ("x",) if has == "yes" else ())
        for i, (has, _) in enumerate(kinds)
    ]
    return examples, {str(i): Prediction("x", diff) for i, (_, diff) in enumerate(kinds)}


def test_it_lies_between_what_is_answered_and_what_is_not():
    many = [("yes", -6.0), ("yes", -3.0), ("no", -1.0), ("no", 4.0)] * 20
    assert threshold.choose(*asked(*many)) == pytest.approx(-2.0)


def test_where_every_question_has_an_answer_none_is_refused():
    assert threshold.choose(*asked(("yes", -6.0), ("yes", 9.0))) is None


def test_at_the_ends_it_is_a_point_away():
    answering_all = [("no", -6.0), *[("yes", 2.0)] * 60]
    assert threshold.choose(*asked(*answering_all)) == 3.0
    assert threshold.choose(*asked(("no", -6.0), ("no", -3.0), ("no", 2.0))) == -7.0


def test_questions_of_the_same_difference_are_answered_together():
    assert threshold.choose(*asked(*[("yes", 0.0), *[("no", 0.0)] * 9])) == -1.0


def test_steps_that_answer_nearly_alike_are_served_nearly_alike():
    """Where F1 is flat, the best threshold of all questions jumps; the chosen one does not."""
    draw = random.Random(3)
    kinds = [("no" if draw.random() < 0.5 else "yes", draw.uniform(-8, 8)) for _ in range(300)]
    chosen, best = [], []
    for seed in range(12):
        noise = random.Random(seed)
        examples, predictions = asked(*((has, diff + noise.gauss(0, 0.3)) for has, diff in kinds))
        chosen.append(threshold.choose(examples, predictions))
        best.append(metrics.score(examples, predictions, None).best_f1_threshold)
    assert max(chosen) - min(chosen) < (max(best) - min(best)) / 3


KINDS = st.lists(st.tuples(st.sampled_from(["yes", "no"]), st.floats(-20, 20)), min_size=1)


@given(KINDS.filter(lambda kinds: any(has == "no" for has, _ in kinds)))
def test_it_is_among_the_differences_and_the_same_again(kinds):
    found = threshold.choose(*asked(*kinds))
    differences = [diff for _, diff in kinds]
    assert min(differences) - 1 - 1e-9 <= found <= max(differences) + 1 + 1e-9
    assert threshold.choose(*asked(*kinds)) == found
