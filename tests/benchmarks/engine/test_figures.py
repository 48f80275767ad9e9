"""The engine's figures from known seconds."""

from __future__ import annotations

import pytest

from benchmarks.engine.figures import (
    BF16,
    DENSE,
    FP32,
    FP32_BEFORE,
    INT8,
    LENGTHS,
    OV_INT8_FIXED,
    Traffic,
    fixed_figures,
    traffic_figures,
)

# × over PyTorch that the bounds ask for.
WANTED = {32: 15.0, 128: 12.5, 384: 10.5, 512: 9.8}


def seconds(faster=1.0, rivals=(1.1, 1.2)):
    """Three rounds of which one is slow for everyone; rivals' as × of ours."""
    found = {}
    for length, wanted in WANTED.items():
        ours = 1 / wanted / faster
        for name, own in (
            (DENSE, 1.0),
            (INT8, ours),
            *zip((BF16, OV_INT8_FIXED), (ours * rival for rival in rivals), strict=False),
        ):
            found[name, length] = [own * 1.001, own * 9, own]
    return found


def missed(figures):
    return {figure.name for figure in figures if not figure.held}


def test_each_length_has_its_own_bound():
    assert missed(fixed_figures(seconds(faster=1.001))) == set()
    for length in LENGTHS:
        slower = seconds(faster=1.001)
        slower[INT8, length] = [value * 1.01 for value in slower[INT8, length]]
        assert missed(fixed_figures(slower)) == {f"int8-{length}"}


def test_the_fastest_rival_at_32_and_at_128_must_be_behind():
    figures = {figure.name: figure for figure in fixed_figures(seconds(2.0, (1.1, 1.05)))}
    assert figures["ahead-32"].what.startswith(OV_INT8_FIXED)
    assert figures["ahead-32"].value.median == pytest.approx(1.05)
    assert missed(fixed_figures(seconds(2.0, (1.1, 0.99)))) == {"ahead-32", "ahead-128"}
    assert set(figures) == {f"int8-{n}" for n in LENGTHS} | {"ahead-32", "ahead-128"}


def test_without_a_rival_its_bounds_are_not_judged():
    assert {figure.name for figure in fixed_figures(seconds(rivals=()))} == {
        f"int8-{length}" for length in LENGTHS
    }
    alone = {FP32_BEFORE: [2.0], FP32: [1.5], INT8: [1.0]}
    assert [one.name for one in traffic_figures(Traffic(alone, alone, {}))] == ["traffic-fp32"]


def test_traffic_is_compared_by_means_over_all_questions():
    # 50 questions a block: rivals compile in the first block, and are as fast as we are after it.
    ours, slow = [1.0] * 100, [4.0] * 50 + [1.0] * 50
    warm = {FP32_BEFORE: [1.6] * 100, FP32: ours, INT8: ours, BF16: [1.1] * 100}
    cold = dict(warm) | {BF16: slow}
    figures = {one.name: one for one in traffic_figures(Traffic(cold, warm, {}))}
    assert missed(figures.values()) == set()
    spread = figures["traffic-cold"].value
    assert (spread.median, spread.low, spread.high, spread.rounds) == (2.5, 1.0, 4.0, 2)
    assert figures["traffic-warm"].value.median == pytest.approx(1.1)
    warm[INT8] = [1.01] * 100
    assert missed(traffic_figures(Traffic(cold, warm, {}))) == {"traffic-fp32", "traffic-warm"}


def test_answers_are_compared_with_our_fp32_graph_s():
    traffic = Traffic({}, {}, {FP32: ["a", "", "c", "d"], INT8: ["a", "b", "c", "d"]})
    assert traffic.same(INT8) == 0.75
