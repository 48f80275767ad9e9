"""State dict and layer shapes → a torch module, also where every layer has its own size."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from transformers.modeling_utils import no_init_weights

from optimize.errors import SourceError
from optimize.source.checkpoint import State
from optimize.source.family import family_of
from predictor.artifact import LayerShape


def build_module(state: State, config: Any, layers: Sequence[LayerShape]) -> nn.Module:
    """The family's question answering model in evaluation mode with the given weights.

    Args:
        state: The weights, under transformers' names; linear layers may lack their bias. The module
            shares their memory.
        config: The configuration of the unpruned model.
        layers: Heads and feed-forward width of each layer.

    Raises:
        SourceError: Weights and configuration do not belong together.
    """
    module = _shaped(config, layers, lambda linear: f"{linear}.bias" in state)
    try:
        module.load_state_dict(state, assign=True)
    except RuntimeError as error:
        raise SourceError(
            f"the weights do not fit config.json: {str(error).splitlines()[1].strip()}"
        ) from error
    whole: nn.Module = module.eval()
    return whole


def random_module(config: Any, layers: Sequence[LayerShape]) -> nn.Module:
    """A model of these layers in evaluation mode with random weights, the same every time.

    Raises:
        SourceError: The configuration is none of a model.
    """
    module = _shaped(config, layers, lambda _: True)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in module.parameters():
            weight.normal_(std=0.02, generator=generator)
    return module.eval()


def _shaped(config: Any, layers: Sequence[LayerShape], biased: Callable[[str], bool]) -> nn.Module:
    """The family's model with layers of these sizes; what its weights are is undefined."""
    family = family_of(config)
    config = copy.deepcopy(config)
    config.pruned_heads = {}
    # With more outputs than the logits, attention would be computed the slow way.
    config.output_attentions = config.output_hidden_states = False
    config.chunk_size_feed_forward = 0
    # Weights of its own would be drawn at random, and thrown away at once.
    with no_init_weights():
        try:
            module = family.model_class(config)
        except ValueError as error:
            raise SourceError(f"config.json: {error}") from error
        head_size = config.hidden_size // config.num_attention_heads
        for index, shape in enumerate(layers):
            hidden, width = config.hidden_size, shape.heads * head_size
            for attribute, size in ((family.heads, shape.heads), (family.attention_width, width)):
                owner, _, name = (family.layer(index) + attribute).rpartition(".")
                setattr(module.get_submodule(owner), name, size)
            for name, inputs, outputs in (
                (family.query, hidden, width),
                (family.key, hidden, width),
                (family.value, hidden, width),
                (family.attention_output, width, hidden),
                (family.inner, hidden, shape.feed_forward),
                (family.outer, shape.feed_forward, hidden),
            ):
                linear = family.layer(index) + name
                module.set_submodule(linear, nn.Linear(inputs, outputs, bias=biased(linear)))
    whole: nn.Module = module
    return whole


def layer_shapes(state: State, config: Any) -> tuple[LayerShape, ...]:
    """Heads and feed-forward width of each layer, read off the weights.

    Raises:
        SourceError: A weight is missing, or has a shape that no heads of this size have.
    """
    family = family_of(config)
    hidden = config.hidden_size
    head_size = hidden // config.num_attention_heads
    shapes = []
    for index in range(config.num_hidden_layers):
        prefix = family.layer(index)
        try:
            attention = len(state[f"{prefix}{family.value}.weight"])
            width = len(state[f"{prefix}{family.inner}.weight"])
            expected = {
                family.query: (attention, hidden),
                family.key: (attention, hidden),
                family.value: (attention, hidden),
                family.attention_output: (hidden, attention),
                family.inner: (width, hidden),
                family.outer: (hidden, width),
            }
            found = {name: tuple(state[f"{prefix}{name}.weight"].shape) for name in expected}
        except KeyError as error:
            raise SourceError(f"the weights do not fit config.json: {error} is missing") from error
        for name, shape in expected.items():
            if found[name] != shape:
                raise SourceError(
                    f"the weights do not fit config.json: {prefix}{name}.weight is {found[name]}, "
                    f"{shape} expected"
                )
        if not attention or attention % head_size or not width:
            raise SourceError(
                f"the weights do not fit config.json: layer {index} has {attention} attention "
                f"rows for heads of {head_size}, and {width} feed-forward neurons"
            )
        shapes.append(LayerShape(heads=attention // head_size, feed_forward=width))
    return tuple(shapes)
