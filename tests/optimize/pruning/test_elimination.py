"""The order of removal, next to the formula computed afresh for every set."""

import pytest
import torch

from optimize.errors import SourceError
from optimize.pruning.elimination import DAMPING, eliminate
from optimize.pruning.moments import Moments

OUT, TOKENS = 6, 400


def layer(width, seed=0, outputs=OUT):
    """Weights, bias and moments of correlated inputs and gradients."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    inputs = normal(TOKENS, width) @ normal(width, width) + normal(width)
    return (
        normal(outputs, width),
        normal(outputs),
        inputs,
        normal(TOKENS, outputs) @ normal(outputs, outputs),
    )


def moments(inputs, gradients):
    ones = torch.cat([inputs, torch.ones(len(inputs), 1, dtype=inputs.dtype)], 1)
    return Moments(ones.T @ ones / len(ones), gradients.T @ gradients / 10)


def loss(weight, of, gone):
    """Half of the least trace of G ΔW H ΔWᵀ for ΔW that takes inputs away, by solving for it."""
    damped = of.inputs.clone()
    damped.diagonal()[:-1] += DAMPING * damped.diagonal().mean()
    kept = [i for i in range(len(damped)) if i not in gone]
    # Of all weights on what is kept, those nearest to the outputs.
    best = torch.zeros(len(weight), len(damped), dtype=weight.dtype)
    whole = torch.cat([weight, torch.zeros(len(weight), 1, dtype=weight.dtype)], 1)
    best[:, kept] = torch.linalg.solve(damped[kept][:, kept], damped[kept] @ whole.T).T
    change = whole - best
    return 0.5 * float((of.gradients @ change @ damped @ change.T).trace())


@pytest.mark.parametrize(("width", "size"), [(10, 1), (150, 1), (12, 3), (40, 8)])
def test_losses_are_those_of_the_best_weights_that_are_left(width, size):
    weight, bias, inputs, gradients = layer(width)
    of = moments(inputs, gradients)
    found = eliminate(weight, bias, of, size)
    assert sorted(found.order) == list(range(width // size))
    assert found.losses[0] == 0
    for count in {1, len(found.order) // 2, len(found.order) - 1}:
        gone = {g * size + i for g in found.order[:count] for i in range(size)}
        assert found.losses[count] == pytest.approx(loss(weight, of, gone), rel=1e-6)


@pytest.mark.parametrize("size", [1, 4])
def test_what_costs_least_leaves_next(size):
    weight, bias, inputs, gradients = layer(16)
    of = moments(inputs, gradients)
    found = eliminate(weight, bias, of, size)
    gone = set()
    for structure in found.order[:-1]:
        left = [s for s in range(16 // size) if s * size not in gone]
        prices = {s: loss(weight, of, gone | {s * size + i for i in range(size)}) for s in left}
        assert prices[structure] == pytest.approx(min(prices.values()))
        gone |= {structure * size + i for i in range(size)}


@pytest.mark.parametrize("size", [1, 4])
def test_what_does_nothing_leaves_first(size):
    weight, bias, inputs, gradients = layer(24)
    first = slice(0, size)
    second = slice(2 * size, 3 * size)
    weight[:, first] = 0  # nothing depends on it
    inputs[:, second] = torch.arange(size) + 1.5  # a constant, which the bias can bring
    found = eliminate(weight, bias, moments(inputs, gradients), size)
    assert set(found.order[:2]) == {0, 2}
    assert found.losses[2] < 1e-4 * found.losses[-1]
    assert found.losses[3] > 10 * found.losses[2]


def test_of_two_that_are_alike_one_leaves_for_nothing_and_the_other_does_not():
    weight, bias, inputs, gradients = layer(12)
    inputs[:, 7] = inputs[:, 3]
    found = eliminate(weight, bias, moments(inputs, gradients))
    assert found.order[0] in (3, 7)
    assert found.losses[1] < 0.05 * found.losses[2]
    assert {3, 7} - set(found.order[:2])


def test_what_no_answer_depends_on_is_free():
    weight, bias, inputs, _ = layer(8)
    found = eliminate(weight, bias, moments(inputs, torch.zeros(1, OUT, dtype=torch.float64)))
    assert found.losses == (0.0,) * 8


def test_inputs_that_are_all_zero_leave_for_nothing():
    weight, bias, inputs, gradients = layer(6)
    found = eliminate(weight, bias, moments(torch.zeros_like(inputs), gradients))
    assert found.losses[-1] < 0.1 * eliminate(weight, bias, moments(inputs, gradients)).losses[1]


def test_what_is_no_number_is_refused():
    weight, bias, inputs, gradients = layer(6)
    inputs[0, 0] = torch.nan
    with pytest.raises(SourceError, match="cannot be pruned"):
        eliminate(weight, bias, moments(inputs, gradients))
