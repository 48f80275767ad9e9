"""Whose turn it is, who joins, and what is withdrawn."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from predictor.batching.feature_queue import FeatureQueue
from predictor.types import Feature


def feature(length):
    ids = np.zeros(length, dtype=np.int64)
    return Feature(0, ids, ids, np.zeros((length, 2), dtype=np.int64), ids.astype(bool))


def names(batch):
    return [(entry.owner, entry.position) for entry in batch]


def filled(requests, *, budget=100, overhead=100):
    queue = FeatureQueue(budget, overhead)
    for owner, lengths in requests.items():
        queue.push(owner, [feature(length) for length in lengths])
    return queue


def test_the_earliest_feature_runs_first_with_those_that_fit():
    queue = filled({"a": [10], "b": [90], "c": [12]}, overhead=5)
    assert names(queue.take()) == [("a", 0), ("c", 0)]
    assert names(queue.take()) == [("b", 0)]
    assert queue.take() == []


def test_a_long_request_does_not_keep_a_newcomer_waiting():
    queue = filled({"long": [100] * 5})
    assert names(queue.take()) == [("long", 0)]
    queue.push("short", [feature(20)])
    order = [names(queue.take())[0] for _ in range(5)]
    assert order.index(("short", 0)) == 1
    assert [name for name in order if name[0] == "long"] == [("long", n) for n in range(1, 5)]


def test_a_long_request_is_not_overtaken_forever():
    queue = filled({"long": [100] * 3})
    taken = []
    for turn in range(20):
        queue.push(f"short {turn}", [feature(100)])
        taken += [owner for owner, _ in names(queue.take())]
    assert taken.count("long") == 3
    assert taken.index("short 0") < 3


def test_nobody_is_overtaken_by_more_than_a_few_batches():
    """Alone in its length, the old feature still runs before the crowd behind it."""
    queue = filled({"crowd": [50] * 20}, overhead=0)
    queue.push("old", [feature(90)])
    queue.push("more crowd", [feature(50)] * 50)
    before = 0
    while ("old", 0) not in (batch := names(queue.take())):
        before += 50 * sum(owner == "more crowd" for owner, _ in batch)
    assert before <= 4 * 100


def test_what_is_withdrawn_does_not_run():
    queue = filled({"a": [10, 20]})
    entries = queue.push("b", [feature(10), feature(30)])
    queue.withdraw(entries)
    queue.withdraw(entries)
    assert len(queue) == 2
    assert names(queue.take()) == [("a", 0), ("a", 1)]
    assert queue.take() == []


@given(
    st.lists(st.lists(st.integers(1, 60), min_size=1, max_size=5), max_size=12),
    st.integers(60, 200),
    st.integers(-1, 80),
    st.randoms(use_true_random=False),
)
def test_everything_runs_once_whatever_comes_and_goes(requests, budget, overhead, random):
    queue = FeatureQueue(budget, overhead)
    expected, ran = set(), []
    for owner, lengths in enumerate(requests):
        entries = queue.push(owner, [feature(length) for length in lengths])
        expected |= {(owner, position) for position in range(len(lengths))}
        if random.random() < 0.3:
            ran += names(queue.take())
        if random.random() < 0.3:
            expected -= {(owner, e.position) for e in entries if e.waiting}
            queue.withdraw(entries)
    while batch := queue.take():
        ran += names(batch)
        assert len(batch) == 1 or len(batch) * max(len(e.feature) for e in batch) <= budget
    assert sorted(ran) == sorted(expected)
    assert len(queue) == 0
