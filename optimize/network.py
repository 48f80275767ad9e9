"""State dict and layer shapes → a torch module, also where every layer has its own size."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from torch import nn
from transformers import BertForQuestionAnswering

from optimize.checkpoint import State
from optimize.errors import SourceError
from predictor.artifact import LayerShape


def build_module(state: State, config: Any, layers: Sequence[LayerShape]) -> nn.Module:
    """A BertForQuestionAnswering in evaluation mode with the given weights.

    Args:
        state: The weights, under transformers' names.
        config: The configuration of the unpruned model.
        layers: Heads and feed-forward width of each layer.

    Raises:
        SourceError: Weights and configuration do not belong together.
    """
    config = copy.deepcopy(config)
    config.pruned_heads = {}
    module = BertForQuestionAnswering(config)
    head_size = config.hidden_size // config.num_attention_heads
    for layer, shape in zip(module.bert.encoder.layer, layers, strict=True):
        attention = layer.attention.self
        attention.num_attention_heads = shape.heads
        attention.all_head_size = width = shape.heads * head_size
        for name in ("query", "key", "value"):
            setattr(attention, name, nn.Linear(config.hidden_size, width))
        layer.attention.output.dense = nn.Linear(width, config.hidden_size)
        layer.intermediate.dense = nn.Linear(config.hidden_size, shape.feed_forward)
        layer.output.dense = nn.Linear(shape.feed_forward, config.hidden_size)
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise SourceError(
            f"the weights do not fit config.json: {str(error).splitlines()[1].strip()}"
        ) from error
    whole: nn.Module = module.eval()
    return whole


def layer_shapes(state: State, config: Any) -> tuple[LayerShape, ...]:
    """Heads and feed-forward width of each layer, read off the weights; raises SourceError."""
    head_size = config.hidden_size // config.num_attention_heads
    prefix = "bert.encoder.layer"
    try:
        return tuple(
            LayerShape(
                heads=state[f"{prefix}.{i}.attention.self.query.weight"].shape[0] // head_size,
                feed_forward=state[f"{prefix}.{i}.intermediate.dense.weight"].shape[0],
            )
            for i in range(config.num_hidden_layers)
        )
    except KeyError as error:
        raise SourceError(f"the weights do not fit config.json: {error} is missing") from error
