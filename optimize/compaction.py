"""Exact removal of what is zero: heads and feed-forward neurons leave the state dict.

A pruned checkpoint usually still holds its zeros and multiplies them. Here a feed-forward neuron
whose input or output weights are all zero is removed, and so is a head whose value or output
projection is. What such a part still contributed is a constant, since its biases remain: it is
folded into the bias that follows, so the outputs stay what they were. (Lagunas et al., EMNLP 2021,
remove the same parts; they drop the constant.)

A head with a zero query or key is left in place: it still averages its values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers.activations import ACT2FN

from optimize.checkpoint import State
from predictor.artifact import LayerShape

# Matrix units work on multiples of eight; a few zero neurons cost less than an odd width.
WIDTH_MULTIPLE = 8


@dataclass(frozen=True)
class Compacted:
    """The smaller state dict and what is left of each layer."""

    state: State
    layers: tuple[LayerShape, ...]
    density: float


def compact(state: State, config: Any) -> Compacted:
    """Removes what is exactly removable from a BERT encoder.

    Args:
        state: Weights under transformers' names; heads may be gone physically already.
        config: The configuration of the unpruned model.
    """
    state = dict(state)
    head_size = config.hidden_size // config.num_attention_heads
    activation = ACT2FN[config.hidden_act]
    layers = []
    for index in range(config.num_hidden_layers):
        prefix = f"bert.encoder.layer.{index}."
        heads = _compact_attention(state, prefix + "attention.", head_size)
        width = _compact_feed_forward(state, prefix, activation)
        layers.append(LayerShape(heads=heads, feed_forward=width))
    return Compacted(state, tuple(layers), density(layers, config))


def density(layers: Sequence[LayerShape], config: Any) -> float:
    """Share of the encoder's linear weights that is left of the unpruned model's."""
    hidden = config.hidden_size
    head_size = hidden // config.num_attention_heads
    full = config.num_hidden_layers * (4 * hidden**2 + 2 * hidden * config.intermediate_size)
    kept = sum(
        4 * hidden * layer.heads * head_size + 2 * hidden * layer.feed_forward for layer in layers
    )
    return float(kept / full)


def _compact_attention(state: State, prefix: str, head_size: int) -> int:
    """Removes heads of one layer in place; returns how many are left."""
    value = state[prefix + "self.value.weight"]  # (heads × head_size, hidden)
    output = state[prefix + "output.dense.weight"]  # (hidden, heads × head_size)
    heads = value.shape[0] // head_size
    by_head = output.view(-1, heads, head_size)
    silent = (value.view(heads, -1) == 0).all(1) | (by_head == 0).all(0).all(1)
    if silent.all():
        silent[0] = False
    if not silent.any():
        return heads
    rows = silent.repeat_interleave(head_size)
    constant = state[prefix + "self.value.bias"] * rows  # a head's weights sum to one
    _fold(state, prefix + "output.dense", constant)
    for name in ("query", "key", "value"):
        for kind in ("weight", "bias"):
            key = f"{prefix}self.{name}.{kind}"
            state[key] = state[key][~rows].contiguous()
    state[prefix + "output.dense.weight"] = output[:, ~rows].contiguous()
    return int((~silent).sum())


def _compact_feed_forward(state: State, prefix: str, activation: Any) -> int:
    """Removes neurons of one layer in place; returns how many are left."""
    inner, outer = prefix + "intermediate.dense", prefix + "output.dense"
    first, second = state[inner + ".weight"], state[outer + ".weight"]
    width = first.shape[0]
    silent = (first == 0).all(1) | (second == 0).all(0)
    kept = int((~silent).sum())
    spare = min(max(1, -(-kept // WIDTH_MULTIPLE)) * WIDTH_MULTIPLE, width) - kept
    silent[torch.nonzero(silent).flatten()[:spare]] = False
    if not silent.any():
        return width
    constant = activation(state[inner + ".bias"].double()) * silent
    _fold(state, outer, constant)
    state[inner + ".weight"] = first[~silent].contiguous()
    state[inner + ".bias"] = state[inner + ".bias"][~silent].contiguous()
    state[outer + ".weight"] = second[:, ~silent].contiguous()
    return int((~silent).sum())


def _fold(state: State, dense: str, constant: torch.Tensor) -> None:
    """Adds what a constant input would give to the bias of a linear layer."""
    weight, bias = state[dense + ".weight"], state[dense + ".bias"]
    state[dense + ".bias"] = (bias.double() + weight.double() @ constant.double()).to(bias.dtype)
