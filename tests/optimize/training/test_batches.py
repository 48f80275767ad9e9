"""Batches hold every feature once, within the budget, and the same for a seed and an epoch."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from optimize.training.batches import collate, counts, plan
from optimize.training.features import TrainingFeature

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=80)


@given(LENGTHS, st.integers(1, 300), st.integers(0, 99), st.integers(0, 9))
def test_every_feature_is_in_one_batch_within_the_budget(lengths, budget, seed, epoch):
    made = plan(lengths, budget, seed, epoch)
    assert sorted(place for batch in made for place in batch) == list(range(len(lengths)))
    for batch in made:
        longest = max(lengths[place] for place in batch)
        assert len(batch) == 1 or len(batch) * longest <= budget
    assert made == plan(lengths, budget, seed, epoch)


def test_seeds_and_epochs_differ_but_little_is_padded():
    lengths = np.random.default_rng(0).integers(8, 384, 3000).tolist()
    plans = [plan(lengths, 4096, seed, epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    assert plans[0] != plans[1] != plans[2] != plans[0]
    for made in plans:
        padded = sum(len(batch) * max(lengths[p] for p in batch) for batch in made)
        assert padded < 1.1 * sum(lengths)
        # Short and long ones follow each other in no order.
        means = [np.mean([lengths[p] for p in batch]) for batch in made]
        assert abs(np.corrcoef(means, range(len(means)))[0, 1]) < 0.3


@given(LENGTHS, st.integers(1, 300), st.floats(0.01, 4))
def test_epochs_are_counted_each_and_the_last_in_part(lengths, budget, epochs):
    found = counts(lengths, budget, 3, epochs)
    full = [len(plan(lengths, budget, 3, epoch)) for epoch in range(len(found))]
    assert found[: int(epochs)] == full[: int(epochs)]
    assert int(epochs) <= len(found) <= int(epochs) + 1
    if len(found) > int(epochs):
        part = epochs - int(epochs)
        assert part * full[-1] <= found[-1] < part * full[-1] + 1
        assert found[-1] > 0


def test_rows_are_filled_up_to_the_longest():
    def feature(*ids, start=0, end=0):
        types = np.array([0] * (len(ids) - 1) + [1], dtype=np.uint8)
        return TrainingFeature(np.array(ids, dtype=np.int32), types, start, end)

    made = collate(
        [feature(5, 6, 7, start=1, end=2), feature(8, 9)],
        ("input_ids", "attention_mask", "token_type_ids"),
        pad_token_id=3,
    )
    assert {name: ids.tolist() for name, ids in made.inputs.items()} == {
        "input_ids": [[5, 6, 7], [8, 9, 3]],
        "attention_mask": [[1, 1, 1], [1, 1, 0]],
        "token_type_ids": [[0, 0, 1], [0, 1, 0]],
    }
    assert made.real.tolist() == [[True, True, True], [True, True, False]]
    assert (made.start.tolist(), made.end.tolist()) == ([1, 0], [2, 0])
