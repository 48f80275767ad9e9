"""The knapsack of heads and neurons, next to trying all combinations."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimize.pruning.allocation import _STEPS, Options, allocate

NUMBERS = st.integers(0, 1000).map(lambda number: number / 100)


@st.composite
def parts(draw):
    found = []
    for _ in range(draw(st.integers(1, 4))):
        count = draw(st.integers(1, 5))
        lists = (draw(st.lists(NUMBERS, min_size=count, max_size=count)) for _ in range(2))
        found.append(Options(tuple(range(count)), *(np.array(numbers) for numbers in lists)))
    return found


def cost(of, kept):
    return sum(part.costs[option] for part, option in zip(of, kept, strict=True))


def loss(of, kept):
    return sum(part.losses[option] for part, option in zip(of, kept, strict=True))


@given(parts(), st.floats(0, 1))
def test_no_combination_within_the_bound_loses_less(of, share):
    cheapest = sum(part.costs.min() for part in of)
    dearest = sum(part.costs.max() for part in of)
    bound = cheapest + share * (dearest - cheapest)
    kept = allocate(of, bound)
    assert cost(of, kept) <= bound * (1 + 1e-9) + 1e-12
    # Costs are rounded up, each by less than a step.
    safe = bound - len(of) * (bound - cheapest) / _STEPS
    within = (k for k in itertools.product(*(p.kept for p in of)) if cost(of, k) <= safe)
    assert all(loss(of, kept) <= loss(of, other) + 1e-9 for other in within)


def test_a_bound_that_only_the_cheapest_meet():
    of = [Options((1, 2), np.array([1.0, 2.0]), np.array([5.0, 0.0]))] * 3
    assert allocate(of, 3.0) == (1, 1, 1)


def test_a_bound_below_all_is_an_error():
    with pytest.raises(ValueError, match="cheapest options cost 2.0"):
        allocate([Options((1,), np.array([2.0]), np.array([0.0]))], 1.9)
