"""Compaction is exact: masked and compact networks agree in float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertConfig, BertForQuestionAnswering

from optimize.compaction import compact
from optimize.network import build_module, layer_shapes

CONFIG = BertConfig(
    vocab_size=50,
    hidden_size=16,
    num_attention_heads=4,
    num_hidden_layers=2,
    intermediate_size=24,
    max_position_embeddings=16,
)


def random_state(seed):
    torch.manual_seed(seed)
    module = BertForQuestionAnswering(CONFIG).double()
    # Biases start at zero in a fresh network, which would hide a wrong fold.
    return {
        name: torch.randn_like(tensor) * 0.3 if tensor.dim() == 1 else tensor * 10
        for name, tensor in module.state_dict().items()
    }


def logits(state, layers):
    module = build_module(state, CONFIG, layers).double()
    module.load_state_dict(state)
    ids = torch.arange(2 * 9).view(2, 9) % 50
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    with torch.inference_mode():
        output = module(input_ids=ids, attention_mask=mask)
    return torch.stack([output.start_logits, output.end_logits])


def head_rows(head):
    return slice(4 * head, 4 * head + 4)


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 1000),
    st.sets(st.tuples(st.integers(0, 1), st.integers(0, 3), st.booleans())),
    st.sets(st.tuples(st.integers(0, 1), st.integers(0, 23), st.booleans())),
    st.booleans(),
)
def test_compact_and_masked_logits_agree(seed, heads, neurons, biases):
    state = random_state(seed)
    if not biases:
        state = {n: torch.zeros_like(t) if n.endswith("bias") else t for n, t in state.items()}
    for layer, head, by_value in heads:
        prefix = f"bert.encoder.layer.{layer}.attention."
        if by_value:
            state[prefix + "self.value.weight"][head_rows(head)] = 0
        else:
            state[prefix + "output.dense.weight"][:, head_rows(head)] = 0
    for layer, neuron, by_input in neurons:
        prefix = f"bert.encoder.layer.{layer}."
        if by_input:
            state[prefix + "intermediate.dense.weight"][neuron] = 0
        else:
            state[prefix + "output.dense.weight"][:, neuron] = 0
    before = logits(state, layer_shapes(state, CONFIG))

    compacted = compact(state, CONFIG)

    assert torch.allclose(before, logits(compacted.state, compacted.layers), rtol=0, atol=1e-10)
    assert compacted.layers == layer_shapes(compacted.state, CONFIG)
    for index, shape in enumerate(compacted.layers):
        silent = {head for layer, head, _ in heads if layer == index}
        assert shape.heads == max(1, 4 - len(silent))
        alive = 24 - len({neuron for layer, neuron, _ in neurons if layer == index})
        assert shape.feed_forward % 8 == 0
        assert alive <= shape.feed_forward < alive + 8 or shape.feed_forward == 8
    kept = sum(4 * 16 * 4 * s.heads + 2 * 16 * s.feed_forward for s in compacted.layers)
    assert compacted.density == pytest.approx(kept / (2 * (4 * 16 * 16 + 2 * 16 * 24)))


def test_a_dense_network_stays_as_it_is():
    state = random_state(0)
    compacted = compact(state, CONFIG)
    assert compacted.density == 1.0
    assert all(torch.equal(state[name], tensor) for name, tensor in compacted.state.items())


def test_the_given_state_is_not_changed():
    state = random_state(0)
    state["bert.encoder.layer.0.attention.self.value.weight"][:4] = 0
    copy = {name: tensor.clone() for name, tensor in state.items()}
    compact(state, CONFIG)
    assert all(torch.equal(copy[name], tensor) for name, tensor in state.items())


def test_a_zero_query_is_no_reason_to_remove_a_head():
    state = random_state(0)
    state["bert.encoder.layer.0.attention.self.query.weight"][:4] = 0
    assert compact(state, CONFIG).layers[0].heads == 4
