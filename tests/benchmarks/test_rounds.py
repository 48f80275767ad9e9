"""Ratios are of the same round, and bounds are held against their median."""

import pytest

from benchmarks.processes import Cores
from benchmarks.report import as_json, as_markdown
from benchmarks.rounds import Figure, Spread, differences, interleave, ratio_of_medians, ratios


def test_ratios_are_per_round():
    # The machine is twice as slow in the second round; the ratio is not.
    assert ratios([2.0, 4.0, 3.0], [1.0, 2.0, 1.0]) == Spread(2.0, 2.0, 3.0, 3)
    assert differences([2.0, 4.5], [1.0, 3.0]) == Spread(1.25, 1.0, 1.5, 2)


def test_a_ratio_of_medians_with_the_spread_of_rounds():
    spread = ratio_of_medians([4.0, 6.0, 8.0], [1.0, 3.0, 2.0])
    assert (spread.median, spread.low, spread.high, spread.rounds) == (3.0, 2.0, 4.0, 3)


def test_sides_of_different_length_are_refused():
    with pytest.raises(ValueError, match="zip"):
        ratios([1.0, 2.0], [1.0])


def test_rounds_measure_each_side_once_in_shuffled_order_and_drop_the_first():
    calls = []

    def side(name):
        def measure():
            calls.append(name)
            return float(len(calls))

        return measure

    values = interleave({name: side(name) for name in "abc"}, rounds=20, dropped=2)
    rounds = [calls[i : i + 3] for i in range(0, len(calls), 3)]
    assert len(rounds) == 22
    assert all(sorted(names) == ["a", "b", "c"] for names in rounds)
    assert len({tuple(names) for names in rounds}) > 3
    assert {name: len(own) for name, own in values.items()} == {"a": 20, "b": 20, "c": 20}
    assert min(min(own) for own in values.values()) == 7.0
    for name, own in values.items():
        assert [calls[int(value) - 1] for value in own] == [name] * 20


@pytest.mark.parametrize(
    ("median", "at_most", "held"),
    [(1.2, True, True), (1.21, True, False), (1.2, False, True), (1.19, False, False)],
)
def test_a_bound_is_held_against_the_median(median, at_most, held):
    figure = Figure("f", "what", Spread(median, 0.1, 9.0, 5), 1.2, at_most, "×", "a over b")
    assert figure.held is held
    table = as_markdown([figure])
    assert ("held" in table) is held
    assert ("MISSED" in table) is not held
    assert f"{median:.3f} (0.100 … 9.000) ×" in table
    assert f'"held": {str(held).lower()}' in as_json([figure], Cores(0, 1))
