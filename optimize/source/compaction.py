"""Exact removal of what is zero: heads and feed-forward neurons leave the state dict.

A pruned checkpoint usually still holds its zeros and multiplies them. Here a feed-forward neuron
whose input or output weights are all zero is removed, and so is a head each of whose dimensions has
a zero value row or a zero output column. What such a part still contributed is a constant, since
its biases remain: it is folded into the bias that follows, so the outputs stay what they were.
(Lagunas et al., EMNLP 2021, remove the same parts; they drop the constant.)

A head with a zero query or key still averages its values. It stays in place, unless losses are
allowed; then it leaves too, and of its average only the value bias is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from optimize.source.assembly import layer_shapes
from optimize.source.checkpoint import State
from optimize.source.family import Family, family_of
from predictor.artifact import LayerShape

# Matrix units work on multiples of eight; a few zero neurons cost less than an odd width.
WIDTH_MULTIPLE = 8


@dataclass(frozen=True)
class Compacted:
    """The smaller state dict and what is left of each layer.

    Attributes:
        state: The weights, under their former names.
        layers: Heads and feed-forward width of every layer.
        density: Share of the unpruned encoder's linear weights that is left.
        averaging_heads: Heads with a zero query or key that are left.
        lossy_heads: Heads with a zero query or key that were removed; without them the outputs
            are others.
    """

    state: State
    layers: tuple[LayerShape, ...]
    density: float
    averaging_heads: int = 0
    lossy_heads: int = 0

    @property
    def notes(self) -> dict[str, Any]:
        """What a report says of heads with a zero query or key."""
        found = {
            "heads with a zero query or key, left": self.averaging_heads,
            "heads with a zero query or key, removed with loss": self.lossy_heads,
        }
        return {text: count for text, count in found.items() if count}


def compact(state: State, config: Any, *, allow_lossy: bool = False) -> Compacted:
    """Removes what is removable from an encoder.

    Args:
        state: Weights under transformers' names, with or without biases; heads may be gone
            physically already. It is not changed.
        config: The configuration of the unpruned model.
        allow_lossy: Whether heads with a zero query or key leave too.

    Raises:
        SourceError: Weights and configuration do not belong together.
    """
    family = family_of(config)
    state = dict(state)
    activation = family.activation_function(config)
    layers = []
    averaging = lossy = 0
    for index, before in enumerate(layer_shapes(state, config)):
        heads = _Heads.of(state, family, index, before.heads)
        gone = heads.removable(allow_lossy=allow_lossy)
        heads.remove(gone)
        averaging += int((heads.averaging & ~gone).sum())
        lossy += int((heads.averaging & gone).sum())
        width = _compact_feed_forward(state, family, index, activation)
        layers.append(LayerShape(heads=int((~gone).sum()), feed_forward=width))
    return Compacted(state, tuple(layers), density(layers, config), averaging, lossy)


def density(layers: Sequence[LayerShape], config: Any) -> float:
    """Share of the encoder's linear weights that is left of the unpruned model's."""
    hidden = config.hidden_size
    head_size = hidden // config.num_attention_heads
    feed_forward = getattr(config, family_of(config).feed_forward)
    full = config.num_hidden_layers * (4 * hidden**2 + 2 * hidden * feed_forward)
    kept = sum(
        4 * hidden * layer.heads * head_size + 2 * hidden * layer.feed_forward for layer in layers
    )
    return float(kept / full)


@dataclass(frozen=True)
class _Heads:
    """The attention heads of one layer.

    Attributes:
        state: Where their weights are, and are replaced.
        inputs: Names of query, key and value, each (heads × head_size, hidden).
        output: Name of the projection, (hidden, heads × head_size).
        silent: Whether a head's output is constant, (heads,).
        averaging: Whether a head that is not silent has a zero query or key, (heads,).
    """

    state: State
    inputs: tuple[str, str, str]
    output: str
    silent: torch.Tensor
    averaging: torch.Tensor

    @classmethod
    def of(cls, state: State, family: Family, index: int, heads: int) -> _Heads:
        """Finds what is zero in a layer."""
        names = [family.layer(index) + n for n in (family.query, family.key, family.value)]
        output = family.layer(index) + family.attention_output
        query, key, value = ((state[f"{n}.weight"] == 0).all(1).view(heads, -1) for n in names)
        columns = (state[f"{output}.weight"] == 0).all(0).view(heads, -1)
        silent = (value | columns).all(1)
        averaging = (query | key).all(1) & ~silent
        return cls(state, (names[0], names[1], names[2]), output, silent, averaging)

    def removable(self, *, allow_lossy: bool) -> torch.Tensor:
        """Which heads can leave, (heads,): never all of them."""
        gone = self.silent | self.averaging if allow_lossy else self.silent.clone()
        if gone.all():
            # Of heads that all could leave, one that is not constant says more.
            gone[int(self.averaging.int().argmax())] = False
        return gone

    def remove(self, gone: torch.Tensor) -> None:
        """Removes heads; what their value biases contributed stays, as attention sums to one."""
        if not gone.any():
            return
        weight = self.state[f"{self.output}.weight"]
        rows = gone.repeat_interleave(weight.shape[1] // len(gone))
        bias = self.state.get(f"{self.inputs[2]}.bias")
        if bias is not None:
            _fold(self.state, self.output, bias * rows)
        for name in self.inputs:
            _keep_rows(self.state, name, ~rows)
        self.state[f"{self.output}.weight"] = weight[:, ~rows].contiguous()


def _compact_feed_forward(state: State, family: Family, index: int, activation: Any) -> int:
    """Removes neurons of one layer in place; returns how many are left."""
    inner, outer = (family.layer(index) + name for name in (family.inner, family.outer))
    first, second = state[f"{inner}.weight"], state[f"{outer}.weight"]
    width = first.shape[0]
    silent = (first == 0).all(1) | (second == 0).all(0)
    kept = int((~silent).sum())
    spare = min(max(1, -(-kept // WIDTH_MULTIPLE)) * WIDTH_MULTIPLE, width) - kept
    silent[torch.nonzero(silent).flatten()[:spare]] = False
    if not silent.any():
        return width
    bias = state.get(f"{inner}.bias", first.new_zeros(width))
    _fold(state, outer, activation(bias.double()) * silent)
    _keep_rows(state, inner, ~silent)
    state[f"{outer}.weight"] = second[:, ~silent].contiguous()
    return int((~silent).sum())


def _keep_rows(state: State, linear: str, rows: torch.Tensor) -> None:
    """Keeps some outputs of a linear layer."""
    for key in (f"{linear}.weight", f"{linear}.bias"):
        if key in state:
            state[key] = state[key][rows].contiguous()


def _fold(state: State, linear: str, constant: torch.Tensor) -> None:
    """Adds what a constant input would give to the bias of a linear layer, which may have none."""
    weight = state[f"{linear}.weight"]
    shift = weight.double() @ constant.double()
    bias = state.get(f"{linear}.bias")
    if bias is not None:
        shift += bias.double()
    elif not shift.any():
        return
    state[f"{linear}.bias"] = shift.to(weight.dtype)
