"""The paired comparison: intervals that hold what they promise, and nothing sure of a few."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimize.evaluation import paired

F1S = st.lists(st.tuples(*[st.sampled_from([0.0, 0.5, 2 / 3, 1.0])] * 2), min_size=1, max_size=80)


@given(F1S)
def test_the_mean_is_within_and_the_other_way_round_is_the_opposite(pairs):
    step, reference = zip(*pairs, strict=True)
    there, back = paired.loss(step, reference), paired.loss(reference, step)
    assert there.interval[0] - 1e-9 <= there.points <= there.interval[1] + 1e-9
    assert back.points == pytest.approx(-there.points)
    assert there.points == pytest.approx(100 * (np.mean(reference) - np.mean(step)))
    assert (there.needed is None) == (there.points <= 0)


def test_the_interval_is_that_of_resampled_questions():
    draw = np.random.default_rng(5)
    step, reference = draw.integers(0, 2, (2, 300)).astype(float)
    differences = 100 * (reference - step)
    means = [draw.choice(differences, 300).mean() for _ in range(4000)]
    expected = np.percentile(means, (2.5, 97.5))
    assert paired.loss(step, reference).interval == pytest.approx(expected, abs=0.6)


def test_two_questions_of_two_hundred_tell_nothing():
    reference = [1.0] * 200
    found = paired.loss([0.0] * 4 + [1.0] * 196, reference)
    assert found.points == 2.0
    assert found.certain
    mixed = paired.loss([0.0] * 9 + [1.0] * 191, [1.0] * 195 + [0.0] * 5)
    assert mixed.points == pytest.approx(2.0)
    assert not mixed.certain


def test_as_many_questions_as_are_needed_tell():
    # One question in ten got worse and one in twelve better, a loss that 120 cannot tell.
    step = [0.0] * 12 + [1.0] * 108
    reference = [1.0] * 12 + [1.0] * 98 + [0.0] * 10
    few = paired.loss(step, reference)
    assert not few.certain
    assert few.needed is not None
    times = -(-few.needed // 120)
    assert paired.loss(step * times, reference * times).certain
    assert not paired.loss(step * (times // 4), reference * (times // 4)).certain


def test_steps_that_answer_alike():
    found = paired.loss([0.5, 1.0], [0.5, 1.0])
    assert (found.points, found.interval, found.needed) == (0.0, (0.0, 0.0), None)
    assert not found.certain


def test_it_says_what_it_found():
    text = str(paired.loss([0.0, 1.0], [1.0, 1.0]))
    assert text == "50.00 points (95 %: 0.00 to 100.00)"
