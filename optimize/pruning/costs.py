"""What heads and neurons cost: weights, operations, or milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimize.source.family import family_of
from predictor.artifact import LayerShape


@dataclass(frozen=True)
class Costs:
    """An additive cost.

    Attributes:
        heads: Of a layer's attention by how many heads it has, from 0, (most + 1,).
        neurons: Of a layer's feed-forward by its width, from 0, (widest + 1,).
        constant: Of everything else.
    """

    heads: NDArray[np.float64]
    neurons: NDArray[np.float64]
    constant: float = 0.0

    def total(self, layers: Sequence[LayerShape]) -> float:
        """The cost of a model."""
        return self.constant + float(
            sum(self.heads[layer.heads] + self.neurons[layer.feed_forward] for layer in layers)
        )


def of_weights(config: Any) -> Costs:
    """Share of the unpruned encoder's linear weights, as `compaction.density` counts them."""
    hidden = config.hidden_size
    head = 4 * hidden * (hidden // config.num_attention_heads)
    return _shares(config, head, 2 * hidden)


def of_operations(config: Any, length: int) -> Costs:
    """Share of the unpruned encoder's multiplications on one sequence.

    Those of the linear layers, and of the two products of attention, which grow with the square of
    the length.
    """
    hidden = config.hidden_size
    head_size = hidden // config.num_attention_heads
    head = length * 4 * hidden * head_size + 2 * length**2 * head_size
    neuron = length * 2 * hidden
    return _shares(config, head, neuron)


def sizes(config: Any) -> tuple[int, int]:
    """Heads and feed-forward width of an unpruned layer."""
    return config.num_attention_heads, getattr(config, family_of(config).feed_forward)


def _shares(config: Any, head: int, neuron: int) -> Costs:
    """Costs of one head and one neuron → shares of what all of the unpruned encoder's come to."""
    heads, width = sizes(config)
    whole = config.num_hidden_layers * (heads * head + width * neuron)
    return Costs(
        np.arange(heads + 1, dtype=np.float64) * head / whole,
        np.arange(width + 1, dtype=np.float64) * neuron / whole,
    )
