"""Least squares for what is left: what can be made up for is, and what is right stays."""

import copy

import pytest
import torch
from torch import nn

from optimize.pruning import refit as refitting
from optimize.pruning.refit import refit
from optimize.source.assembly import build_module
from optimize.source.compaction import compact
from optimize.source.family import family_of
from tests.optimize.pruning.test_moments import batch
from tests.optimize.source import sources
from tests.optimize.source.sources import LAYERS, WIDTH

TWINS = 8  # neurons that have a twin each


def batches(model):
    return [
        batch(model, 8, longest, range(longest, longest - 8, -1), longest) for longest in (24, 60)
    ]


@torch.no_grad()
def hidden(model, fed):
    """Hidden states of the real tokens after the last layer."""
    real = fed["attention_mask"].bool()
    return model(**fed, output_hidden_states=True).hidden_states[-1][real]


def distance(one, other, fed):
    wanted = hidden(other, fed)
    return float((hidden(one, fed) - wanted).norm() / wanted.norm())


@torch.no_grad()
def with_twins(kind):
    """A model whose first neurons all compute what the next ones do."""
    model = sources.network(kind, vocab_size=50)
    for *_, inner, _ in sources.linears(model):
        inner.weight[:TWINS] = inner.weight[TWINS : 2 * TWINS]
        inner.bias[:TWINS] = inner.bias[TWINS : 2 * TWINS]
    return model


@torch.no_grad()
def without(model, neurons):
    """The model without its first neurons."""
    masked = copy.deepcopy(model)
    for *_, outer in sources.linears(masked):
        outer.weight[:, :neurons] = 0
    found = compact(masked.state_dict(), model.config)
    assert [shape.feed_forward for shape in found.layers] == [WIDTH - neurons] * LAYERS
    return build_module(dict(found.state), model.config, found.layers)


@pytest.mark.parametrize("kind", sources.KINDS)
def test_what_others_compute_too_is_made_up_for(kind):
    dense = with_twins(kind)
    pruned = without(dense, TWINS)
    family, given = family_of(dense.config), batches(dense)
    lost = distance(pruned, dense, given[0])
    refit(pruned, dense, family, LAYERS, given)
    assert lost > 0.1
    assert distance(pruned, dense, given[0]) < lost / 20


@pytest.mark.parametrize("kind", sources.KINDS)
def test_what_is_right_stays(kind):
    dense = sources.network(kind, vocab_size=50).double()
    same = copy.deepcopy(dense)
    refit(same, dense, family_of(dense.config), LAYERS, batches(dense))
    for name, weight in dense.state_dict().items():
        assert torch.allclose(same.state_dict()[name], weight, atol=1e-9), name


def test_only_the_two_projections_change():
    dense = sources.network("bert", vocab_size=50)
    pruned = without(dense, 16)
    before = copy.deepcopy(pruned.state_dict())
    layers = []
    given = batches(dense)
    refit(pruned, dense, family_of(dense.config), LAYERS, given, advance=lambda: layers.append(1))
    changed = {
        name for name, weight in pruned.state_dict().items() if not weight.equal(before[name])
    }
    fitted = ("attention.output.dense", "output.dense")
    assert changed == {
        f"bert.encoder.layer.{layer}.{linear}.{part}"
        for layer in range(LAYERS)
        for linear in fitted
        for part in ("weight", "bias")
    }
    assert len(layers) == LAYERS


def test_padding_has_no_say():
    dense = sources.network("bert", vocab_size=50)
    given = batches(dense)
    longer = [{name: nn.functional.pad(ids, (0, 4)) for name, ids in fed.items()} for fed in given]
    found = []
    for some in (given, longer):
        pruned = without(dense, 16)
        refit(pruned, dense, family_of(dense.config), LAYERS, some)
        found.append(pruned.state_dict())
    for name, weight in found[0].items():
        assert torch.allclose(found[1][name], weight, atol=1e-3), name


def test_the_fit_is_that_of_least_squares(monkeypatch):
    monkeypatch.setattr(refitting, "RIDGE", 1e-12)
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(200, 5, generator=generator, dtype=torch.float64)
    targets = torch.randn(200, 3, generator=generator, dtype=torch.float64)
    linear = nn.Linear(5, 3, dtype=torch.float64)
    fit = refitting._Fit(linear)
    with torch.inference_mode():
        for part in range(0, 200, 50):
            fit.add(inputs[part : part + 50], targets[part : part + 50])
        fit.solve()
    rows = torch.cat([inputs, inputs.new_ones(200, 1)], 1)
    wanted = torch.linalg.lstsq(rows, targets).solution.T
    assert torch.allclose(linear.weight, wanted[:, :5], atol=1e-8)
    assert torch.allclose(linear.bias, wanted[:, 5], atol=1e-8)


def test_inputs_that_never_vary_keep_their_weights():
    linear = nn.Linear(4, 2)
    before = linear.weight.detach().clone()
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(64, 4, generator=generator)
    inputs[:, 2] = 0
    fit = refitting._Fit(linear)
    with torch.inference_mode():
        fit.add(inputs, torch.randn(64, 2, generator=generator))
        fit.solve()
    assert torch.allclose(linear.weight[:, 2], before[:, 2])
    assert not torch.allclose(linear.weight[:, 1], before[:, 1])
