"""Costs, next to the module's own weights and to PyTorch's count of operations."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from optimize.pruning import costs
from optimize.pruning.bound import Bound
from optimize.source.assembly import random_module
from optimize.source.compaction import density
from predictor.artifact import LayerShape
from tests.optimize.source import sources
from tests.optimize.source.sources import HEADS, LAYERS, WIDTH

CONFIGS = {kind: sources.network(kind, vocab_size=50).config for kind in sources.KINDS}
SHAPES = st.lists(
    st.builds(LayerShape, heads=st.integers(1, HEADS), feed_forward=st.integers(1, WIDTH)),
    min_size=LAYERS,
    max_size=LAYERS,
)
DENSE = [LayerShape(heads=HEADS, feed_forward=WIDTH)] * LAYERS


@given(st.sampled_from(sources.KINDS), SHAPES)
def test_weights_are_those_of_the_report(kind, layers):
    found = costs.of_weights(CONFIGS[kind]).total(layers)
    assert found == pytest.approx(density(layers, CONFIGS[kind]))


@pytest.mark.parametrize("kind", sources.KINDS)
@pytest.mark.parametrize("length", [7, 40])
def test_operations_are_those_that_pytorch_counts(kind, length):
    layers = [LayerShape(heads=n, feed_forward=w) for n, w in ((4, 48), (1, 8), (2, 21))]
    found = costs.of_operations(CONFIGS[kind], length)
    share = counted(kind, layers, length) / counted(kind, DENSE, length)
    assert found.total(layers) == pytest.approx(share, rel=1e-9)
    assert found.total(DENSE) == pytest.approx(1)


def counted(kind, layers, length):
    """Operations of the encoder's layers alone."""
    config = copy.deepcopy(CONFIGS[kind])
    config._attn_implementation = "eager"  # whose products are counted one by one
    module = random_module(config, layers)
    ids = torch.full((1, length), 5)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(input_ids=ids, attention_mask=torch.ones_like(ids))
    by_part = counter.get_flop_counts()
    ends = (".encoder", ".transformer")
    (encoder,) = (flops for name, flops in by_part.items() if name.endswith(ends))
    return sum(encoder.values())


def test_bounds_say_what_they_bound():
    assert str(Bound("density", 0.5)) == "density 0.5"
    assert str(Bound("flops", 0.5, 128)) == "flops 0.5 at 128 tokens"
    assert str(Bound("latency", 20.0, 384)) == "latency 20 ms at 384 tokens"
