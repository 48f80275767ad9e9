"""Batches stay within their bounds, lose nothing, and weigh padding against a run."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.batch_plan import collate, plan
from predictor.types import Feature


@given(st.lists(st.integers(1, 64), max_size=40), st.integers(1, 300), st.integers(-1, 100))
def test_every_feature_once_and_within_the_bounds(lengths, budget, overhead):
    batches = plan(lengths, budget, overhead)
    assert sorted(p for batch in batches for p in batch) == list(range(len(lengths)))
    for batch in batches:
        sizes = [lengths[p] for p in batch]
        assert len(batch) == 1 or len(batch) * max(sizes) <= budget
        assert overhead >= 0 or len(batch) == 1


@given(st.lists(st.integers(1, 64), min_size=1, max_size=40), st.integers(0, 100))
def test_grouping_never_costs_more_than_running_alone(lengths, overhead):
    batches = plan(lengths, 10_000, overhead)
    cost = sum(len(b) * max(lengths[p] for p in b) + overhead for b in batches)
    assert cost <= sum(lengths) + overhead * len(lengths)


def test_neighbours_in_length_run_together_the_earliest_first():
    assert plan([50, 10, 49, 11], 100, 5) == [[2, 0], [1, 3]]


@pytest.mark.parametrize(
    ("overhead", "batches"),
    [(-1, [[0], [1], [2]]), (0, [[0, 1], [2]]), (39, [[0, 1], [2]]), (80, [[0, 1, 2]])],
)
def test_padding_is_weighed_against_the_run_that_it_saves(overhead, batches):
    """To join the two features of 10 with the one of 50 would pad 80 tokens."""
    assert plan([10, 10, 50], 1000, overhead) == batches


def test_padding_is_on_the_right_and_masked():
    def feature(n):
        return Feature(0, np.full(n, 7), np.full(n, 1), np.zeros((n, 2)), np.ones(n, dtype=bool))

    inputs = ("input_ids", "attention_mask", "token_type_ids")
    batch = collate([feature(2), feature(3)], inputs, pad_token_id=9)
    assert batch["input_ids"].tolist() == [[7, 7, 9], [7, 7, 7]]
    assert batch["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert batch["token_type_ids"].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert list(collate([feature(2)], inputs[:2], 0)) == ["input_ids", "attention_mask"]
