"""Compaction is exact: masked and compact networks agree in float64, in every family."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from optimize.errors import SourceError
from optimize.source.assembly import build_module, layer_shapes
from optimize.source.compaction import compact, density
from optimize.source.family import family_of
from predictor.artifact import LayerShape
from tests.optimize.source import sources
from tests.optimize.source.sources import HEAD_SIZE, HEADS, HIDDEN, LAYERS, WIDTH

MODELS = {kind: sources.network(kind, vocab_size=50).double() for kind in sources.KINDS}
KINDS = st.sampled_from(sources.KINDS)
SEEDS = st.integers(0, 2**32 - 1)
BIASES = st.sampled_from(["random", "zero", "absent", "some"])
# How a head falls silent: by its value, by its output, or dimension by dimension by either.
HEAD_MASKS = st.dictionaries(
    st.tuples(st.integers(0, LAYERS - 1), st.integers(0, HEADS - 1)),
    st.sampled_from(["value", "output", "mixed", "everything"]),
)
NEURON_MASKS = st.dictionaries(
    st.tuples(st.integers(0, LAYERS - 1), st.integers(0, WIDTH - 1)),
    st.sampled_from(["inner", "outer", "both"]),
)
# Layers with hardly a neuron left, which single neurons never lead to.
LEFT = st.lists(st.integers(0, WIDTH), min_size=LAYERS, max_size=LAYERS)


class Weights:
    """A random state dict and the names of one layer's linears."""

    def __init__(self, kind, seed, biases="random"):
        self.config = MODELS[kind].config
        self.family = family_of(self.config)
        self.random = np.random.default_rng(seed)
        self.state = {
            name: torch.from_numpy(self.random.normal(scale=0.3, size=tuple(tensor.shape)))
            for name, tensor in MODELS[kind].state_dict().items()
        }
        for name in self.biases():
            if biases == "zero":
                self.state[name] *= 0
            elif biases == "absent" or (biases == "some" and self.random.random() < 0.5):
                del self.state[name]

    def name(self, layer, part):
        return f"{self.family.layer(layer)}{getattr(self.family, part)}"

    def weight(self, layer, part):
        return self.state[f"{self.name(layer, part)}.weight"]

    def biases(self):
        parts = ("query", "key", "value", "attention_output", "inner", "outer")
        return [f"{self.name(layer, p)}.bias" for layer in range(LAYERS) for p in parts]

    def mask_head(self, layer, head, how):
        rows = head_rows(head)
        by_value = {
            "value": np.ones(HEAD_SIZE, bool),
            "output": np.zeros(HEAD_SIZE, bool),
            "everything": np.ones(HEAD_SIZE, bool),
            "mixed": self.random.random(HEAD_SIZE) < 0.5,
        }[how]
        self.weight(layer, "value")[rows[by_value]] = 0
        self.weight(layer, "attention_output")[:, rows[~by_value]] = 0
        if how == "everything":
            self.weight(layer, "query")[rows] = 0
            self.weight(layer, "key")[rows] = 0
            self.weight(layer, "attention_output")[:, rows] = 0

    def mask_neuron(self, layer, neuron, how):
        if how != "outer":
            self.weight(layer, "inner")[neuron] = 0
        if how != "inner":
            self.weight(layer, "outer")[:, neuron] = 0


def head_rows(head):
    return np.arange(HEAD_SIZE * head, HEAD_SIZE * (head + 1))


def feed(family):
    ids = 5 + torch.arange(2 * 9).view(2, 9) % 40
    attention_mask = torch.ones_like(ids)
    attention_mask[1, 6:] = 0
    ids[1, 6:] = 1 if family.positions_follow_pad else 0
    inputs = {"input_ids": ids, "attention_mask": attention_mask}
    if "token_type_ids" in family.inputs:
        inputs["token_type_ids"] = torch.arange(9).ge(4).long().expand(2, 9)
    return inputs


def run(module, family):
    with torch.inference_mode():
        output = module(**feed(family))
    return torch.stack([output.start_logits, output.end_logits])


def masked_logits(kind, weights):
    """transformers' own network, which has every bias: where the state has none, it is zero."""
    zeros = {name: torch.zeros_like(t) for name, t in MODELS[kind].state_dict().items()}
    MODELS[kind].load_state_dict(zeros | weights.state)
    return run(MODELS[kind], weights.family)


def compact_logits(weights, compacted):
    module = build_module(compacted.state, weights.config, compacted.layers).double()
    module.load_state_dict(compacted.state)
    return run(module, weights.family)


def agree(ours, theirs):
    return torch.allclose(ours, theirs, rtol=0, atol=1e-10)


@settings(deadline=None, max_examples=60)
@given(KINDS, SEEDS, BIASES, HEAD_MASKS, NEURON_MASKS, LEFT)
def test_compact_and_masked_logits_agree(kind, seed, biases, heads, neurons, left):
    weights = Weights(kind, seed, biases)
    for (layer, head), how in heads.items():
        weights.mask_head(layer, head, how)
    silent = [{neuron for at, neuron in neurons if at == layer} for layer in range(LAYERS)]
    for (layer, neuron), how in neurons.items():
        weights.mask_neuron(layer, neuron, how)
    for layer, most in enumerate(left):
        for neuron in range(most, WIDTH):
            weights.mask_neuron(layer, neuron, "both")
            silent[layer].add(neuron)

    compacted = compact(weights.state, weights.config)

    assert agree(compact_logits(weights, compacted), masked_logits(kind, weights))
    assert compacted.layers == layer_shapes(compacted.state, weights.config)
    assert (compacted.averaging_heads, compacted.lossy_heads) == (0, 0)
    for index, shape in enumerate(compacted.layers):
        assert shape.heads == max(1, HEADS - len({head for at, head in heads if at == index}))
        alive = WIDTH - len(silent[index])
        assert shape.feed_forward == max(8, -(-alive // 8) * 8)
    # Counted on the tensors, biases left out.
    count = sum(
        compacted.state[name.replace(".bias", ".weight")].numel() for name in weights.biases()
    )
    assert compacted.density == pytest.approx(
        count / (LAYERS * (4 * HIDDEN**2 + 2 * HIDDEN * WIDTH))
    )


@settings(deadline=None, max_examples=40)
@given(KINDS, SEEDS, BIASES, st.sampled_from([0.3, 0.8, 0.97]))
def test_zero_rows_columns_and_blocks_anywhere(kind, seed, biases, share):
    """Whatever is zero, what leaves contributed a constant, and what is kept could not leave."""
    weights = Weights(kind, seed, biases)
    for layer in range(LAYERS):
        for part in ("query", "key", "value", "attention_output", "inner", "outer"):
            weight = weights.weight(layer, part)
            weight[torch.from_numpy(weights.random.random(weight.shape[0]) < share / 2)] = 0
            weight[:, torch.from_numpy(weights.random.random(weight.shape[1]) < share / 2)] = 0
            blocks = weights.random.random((weight.shape[0] // 4, weight.shape[1] // 4)) < share
            weight[torch.from_numpy(blocks.repeat(4, 0).repeat(4, 1))] = 0

    compacted = compact(weights.state, weights.config)

    assert agree(compact_logits(weights, compacted), masked_logits(kind, weights))
    again = compact(compacted.state, weights.config)
    assert again.layers == compacted.layers
    assert all(torch.equal(again.state[name], tensor) for name, tensor in compacted.state.items())
    for layer, shape in enumerate(compacted.layers):
        contributes = weights.weight(layer, "outer").T.abs().sum(1) * (
            weights.weight(layer, "inner").abs().sum(1)
        )
        assert shape.feed_forward == max(8, -(-int((contributes > 0).sum()) // 8) * 8)


@settings(deadline=None, max_examples=30)
@given(
    KINDS,
    SEEDS,
    BIASES,
    st.sets(st.tuples(st.integers(0, LAYERS - 1), st.integers(0, HEADS - 1)), min_size=1),
    st.sampled_from(["query", "key", "mixed"]),
)
def test_a_head_that_averages_leaves_only_with_loss(kind, seed, biases, heads, how):
    weights = Weights(kind, seed, biases)
    for layer, head in heads:
        rows = head_rows(head)
        by_query = weights.random.random(HEAD_SIZE) < {"query": 1, "key": 0, "mixed": 0.5}[how]
        weights.weight(layer, "query")[rows[by_query]] = 0
        weights.weight(layer, "key")[rows[~by_query]] = 0

    exact = compact(weights.state, weights.config)
    assert [shape.heads for shape in exact.layers] == [HEADS] * LAYERS
    assert (exact.averaging_heads, exact.lossy_heads) == (len(heads), 0)
    before = masked_logits(kind, weights)
    assert agree(compact_logits(weights, exact), before)

    lossy = compact(weights.state, weights.config, allow_lossy=True)
    gone = set(heads)
    for layer in range(LAYERS):
        mine = sorted(head for at, head in heads if at == layer)
        if len(mine) == HEADS:
            gone.remove((layer, mine[0]))
        assert lossy.layers[layer].heads == max(1, HEADS - len(mine))
    assert lossy.lossy_heads == len(gone)
    assert lossy.averaging_heads == len(heads) - len(gone)
    # What is lost is the average of the values, and nothing else: the biases' part stays.
    assert gone
    assert not agree(compact_logits(weights, lossy), before)
    for layer, head in gone:
        weights.weight(layer, "value")[head_rows(head)] = 0
    assert agree(compact_logits(weights, lossy), masked_logits(kind, weights))


@pytest.mark.parametrize("kind", sources.KINDS)
def test_heads_that_are_gone_already(kind):
    """As transformers removes them, with further heads masked in what is left."""
    model = sources.network(kind, vocab_size=50)
    family = family_of(model.config)
    sources.prune(model)
    model.double()
    name = f"{family.layer(2)}{family.value}.weight"
    model.state_dict()[name][:HEAD_SIZE] = 0
    compacted = compact(model.state_dict(), model.config)
    assert [shape.heads for shape in compacted.layers] == [3, 4, 1]
    module = build_module(compacted.state, model.config, compacted.layers).double()
    module.load_state_dict(compacted.state)
    assert agree(run(module, family), run(model, family))


def test_a_dense_network_stays_as_it_is():
    for kind in sources.KINDS:
        weights = Weights(kind, 0)
        compacted = compact(weights.state, weights.config, allow_lossy=True)
        assert compacted.density == 1.0
        assert list(compacted.state) == list(weights.state)
        assert all(compacted.state[name] is tensor for name, tensor in weights.state.items())


def test_the_given_state_is_not_changed():
    weights = Weights("bert", 0)
    weights.mask_head(0, 1, "mixed")
    weights.mask_neuron(1, 3, "inner")
    copy = {name: tensor.clone() for name, tensor in weights.state.items()}
    compact(weights.state, weights.config)
    assert all(torch.equal(copy[name], tensor) for name, tensor in weights.state.items())


def test_where_every_head_could_leave_one_that_says_something_stays():
    weights = Weights("bert", 0)
    for head in range(HEADS):
        if head != 2:
            weights.mask_head(0, head, "value")
    weights.weight(0, "query")[head_rows(2)] = 0
    kept = weights.weight(0, "value")[head_rows(2)]
    compacted = compact(weights.state, weights.config, allow_lossy=True)
    assert (compacted.averaging_heads, compacted.lossy_heads) == (1, 0)
    assert torch.equal(compacted.state[f"{weights.name(0, 'value')}.weight"], kept)


def test_density_of_a_published_shape():
    """As its authors give it, 16 % with zeros left in kept heads and here counted: 24.5 %."""
    config = type(MODELS["bert"].config)(
        hidden_size=1024, num_attention_heads=16, num_hidden_layers=24, intermediate_size=4096
    )
    heads = (7, 7, 3, 5, 4, 4, 4, 5, 7, 4, 8, 7, 9, 11, 10, 14, 14, 11, 13, 13, 12, 8, 6, 8)
    widths = (287, 305, 428, 530, 560, 639, 704, 717, 717, 748, 619, 660)
    widths += (604, 695, 563, 526, 533, 523, 378, 218, 146, 76, 44, 108)
    pairs = zip(heads, widths, strict=True)
    layers = [LayerShape(heads=h, feed_forward=w) for h, w in pairs]
    assert density(layers, config) == pytest.approx(0.245, abs=5e-4)


@pytest.mark.parametrize(
    ("part", "rows", "message"),
    [
        ("value", HIDDEN - 3, "29 attention rows for heads of 8"),
        ("value", 0, "0 attention rows"),
        ("inner", WIDTH - 1, r"outer.*is \(32, 48\), \(32, 47\) expected"),
        ("query", HEAD_SIZE, r"\(8, 32\), \(32, 32\) expected"),
    ],
)
def test_shapes_that_no_layer_has(part, rows, message):
    weights = Weights("bert", 0)
    names = ("query", "key", "value") if part == "value" else (part,)
    for name in names:
        key = f"{weights.name(1, name)}.weight"
        weights.state[key] = weights.state[key][:rows]
    if part == "value":
        key = f"{weights.name(1, 'attention_output')}.weight"
        weights.state[key] = weights.state[key][:, :rows]
    with pytest.raises(SourceError, match=message.replace("outer", weights.name(1, "outer"))):
        compact(weights.state, weights.config)
