"""The rule that chooses among variants: bounds first, then latency, then size where that ties."""

import random

import pytest

from optimize import choice
from optimize.choice import Candidate
from optimize.data.metrics import Scores

SCORES = Scores(500, 50.0, 60.0, 4.0, None, None, 60.0, 0.0)


def candidate(name, p50_ms, size, refused=None):
    return Candidate(name, "embeddings", SCORES, p50_ms, size, refused)


def names(candidates):
    return [c.name for c in choice.order(candidates)]


def test_what_is_out_of_bounds_is_out_of_the_question():
    assert names([candidate("a", 1.0, 1, "F1 fell"), candidate("b", 9.0, 9)]) == ["b"]
    assert names([candidate("a", 1.0, 1, "F1 fell")]) == []
    assert names([]) == []


def test_the_lowest_latency_comes_first():
    given = [candidate("c", 30.0, 1), candidate("a", 10.0, 9), candidate("b", 20.0, 5)]
    for seed in range(6):
        random.Random(seed).shuffle(given)
        assert names(given) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("slower", "expected"), [(10.29, ["small", "large"]), (10.31, ["large", "small"])]
)
def test_within_three_percent_the_smaller_file_comes_first(slower, expected):
    assert names([candidate("large", 10.0, 90), candidate("small", slower, 20)]) == expected


def test_a_tie_is_one_with_the_fastest_alone():
    """A chain of small steps does not make the slowest as good as the fastest."""
    chain = [candidate("a", 10.0, 30), candidate("b", 10.2, 20), candidate("c", 10.4, 10)]
    assert names(chain) == ["b", "a", "c"]


@pytest.mark.parametrize(("smaller", "expected"), [(19.5, ["a", "b"]), (19.4, ["b", "a"])])
def test_files_that_differ_by_little_are_ordered_by_latency(smaller, expected):
    assert names([candidate("b", 10.1, smaller), candidate("a", 10.0, 20)]) == expected


@pytest.mark.parametrize(
    ("lengths", "most", "expected"),
    [((8, 384, 512), 512, 384), ((8, 64), 512, 64), ((512,), 512, 384), ((8, 128), 64, 8)],
)
def test_the_length_that_decides(lengths, most, expected):
    assert choice.at_length(lengths, most) == expected


def test_the_reason_says_what_decided():
    large, small = candidate("large", 10.0, 90_000_000), candidate("small", 10.2, 20_000_000)
    slow = candidate("slow", 20.0, 10_000_000)
    given = [large, small, slow, candidate("bad", 1.0, 1, "F1 fell")]
    assert choice.reason(given, "small", {}, 384) == (
        "small has the smallest file, 20.0 MB, of those whose median latency at 384 tokens is "
        "within 3 % of the lowest, 10.00 ms of large."
    )
    assert "the lowest median latency at 384 tokens" in choice.reason(
        [large, slow], "large", {}, 384
    )
    last = choice.reason(given, "slow", {"small": "F1", "large": "F1"}, 384)
    assert last.endswith("20.00 ms, after small and large failed the last gate.")
    assert "fp32 is served: no variant" in choice.reason([given[-1]], "fp32", {}, 384)
