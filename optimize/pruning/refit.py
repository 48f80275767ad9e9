"""What is left of the projections makes up for what was removed, layer after layer.

Kwon et al. (NeurIPS 2022) scale what is kept by least squares; here all weights of a layer's two
projections are fitted. The targets are the dense model's sums before its normalizations, on the
inputs that the pruned model really has there, so that a layer also corrects what the layers
before it lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from optimize.pruning.moments import linear_of, projections, second_moment, with_one
from optimize.pruning.sequences import Inputs
from optimize.source.family import Family

# How strongly weights keep to what they were, in mean squares of an input.
RIDGE = 1e-3


def refit(
    pruned: nn.Module,
    dense: nn.Module,
    family: Family,
    layers: int,
    batches: Iterable[Inputs],
    *,
    advance: Callable[[], None] = lambda: None,
) -> None:
    """Fits the projections of every layer of a pruned model, in place.

    Args:
        pruned: The compacted model, in evaluation mode; its projections have biases.
        dense: The model that it was.
        family: Of both.
        layers: How many both have.
        batches: Questions to fit on; hidden states of all of them are kept meanwhile.
        advance: Called after each layer.
    """
    device = next(dense.parameters()).device
    with torch.inference_mode():
        calls = [
            _Call.of(pruned, dense, family, {n: ids.to(device) for n, ids in batch.items()})
            for batch in batches
        ]
        for index in range(layers):
            mine = pruned.get_submodule(family.layer(index)[:-1])
            theirs = dense.get_submodule(family.layer(index)[:-1])
            attention, outer = (
                name[len(family.layer(index)) :] for name in projections(family, index)
            )
            # What is added to a projection's output: the input of the layer, or of its neurons.
            for projection, residual in ((attention, ""), (outer, family.inner)):
                fit = _Fit(linear_of(mine, projection))
                for call in calls:
                    ours, other = call.pruned, call.dense
                    x, r, _ = _seen(mine, projection, residual, ours, call.real)
                    _, r0, y0 = _seen(theirs, projection, residual, other, call.real)
                    fit.add(x, y0 + r0 - r)
                fit.solve()
            for call in calls:
                call.pruned.hidden = call.pruned(mine)
                call.dense.hidden = call.dense(theirs)
            advance()


@dataclass
class _State:
    """Hidden states on their way through one model's layers, (rows, longest, hidden)."""

    hidden: torch.Tensor
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __call__(self, layer: nn.Module) -> torch.Tensor:
        output = layer(self.hidden, *self.args, **self.kwargs)
        hidden: torch.Tensor = output[0] if isinstance(output, tuple) else output
        return hidden


@dataclass
class _Call:
    """A batch in both models."""

    pruned: _State
    dense: _State
    real: torch.Tensor

    @classmethod
    def of(cls, pruned: nn.Module, dense: nn.Module, family: Family, fed: Inputs) -> _Call:
        first = family.layer(0)[:-1]
        states = [_entering(module, first, fed) for module in (pruned, dense)]
        return cls(states[0], states[1], fed["attention_mask"].bool())


class _Entered(Exception):
    """Ends a run where the first layer begins."""


def _entering(module: nn.Module, layer: str, fed: Inputs) -> _State:
    """What a model gives its first layer."""
    found: list[_State] = []

    def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        found.append(_State(args[0], args[1:], kwargs))
        raise _Entered

    handle = module.get_submodule(layer).register_forward_pre_hook(hook, with_kwargs=True)
    try:
        module(**fed)
    except _Entered:
        pass
    finally:
        handle.remove()
    return found[0]


def _seen(
    layer: nn.Module, projection: str, residual: str, state: _State, real: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Inputs of a projection, the residual, and the projection's outputs, of real tokens."""
    seen: dict[str, torch.Tensor] = {"": state.hidden[real]}
    handles = []

    def keep(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            seen[name] = inputs[0][real]
            seen[name + ">"] = output[real]
            if name == projection:
                raise _Entered

        return hook

    for name in {projection, residual} - {""}:
        handles.append(layer.get_submodule(name).register_forward_hook(keep(name)))
    try:
        state(layer)
    except _Entered:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return seen[projection], seen[residual], seen[projection + ">"]


class _Fit:
    """Least squares for a linear layer's weights and bias, with a ridge towards what they are."""

    def __init__(self, linear: nn.Linear) -> None:
        self._linear = linear
        out, width = linear.weight.shape
        self._inputs = linear.weight.new_zeros(width + 1, width + 1, dtype=torch.float64)
        self._targets = linear.weight.new_zeros(out, width + 1, dtype=torch.float64)

    def add(self, inputs: torch.Tensor, targets: torch.Tensor) -> None:
        rows = with_one(inputs)
        self._inputs += second_moment(rows)
        self._targets += (targets.T @ rows).double()

    def solve(self) -> None:
        linear = self._linear
        before = torch.cat([linear.weight, linear.bias[:, None]], 1).double()
        ridge = RIDGE * self._inputs.diagonal().mean()
        system = self._inputs.clone()
        system.diagonal()[:] += ridge
        found = torch.linalg.solve(system, (self._targets + ridge * before).T).T
        found = found.to(linear.weight.dtype)
        linear.weight.copy_(found[:, :-1])
        linear.bias.copy_(found[:, -1])
