"""Batches stay within the budget and lose nothing."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from predictor.batch_plan import collate, plan
from predictor.types import Feature


@given(st.lists(st.integers(1, 64), max_size=40), st.integers(1, 300))
def test_every_feature_once_and_within_the_budget(lengths, budget):
    batches = plan(lengths, budget)
    assert sorted(p for batch in batches for p in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[p] for p in batch) <= budget


def test_neighbours_in_length_run_together():
    assert plan([50, 10, 49, 11], 100) == [[1, 3], [2, 0]]


def test_padding_is_on_the_right_and_masked():
    def feature(n):
        return Feature(0, np.full(n, 7), np.full(n, 1), np.zeros((n, 2)), np.ones(n, dtype=bool))

    inputs = ("input_ids", "attention_mask", "token_type_ids")
    batch = collate([feature(2), feature(3)], inputs, pad_token_id=9)
    assert batch["input_ids"].tolist() == [[7, 7, 9], [7, 7, 7]]
    assert batch["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert batch["token_type_ids"].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert list(collate([feature(2)], inputs[:2], 0)) == ["input_ids", "attention_mask"]
