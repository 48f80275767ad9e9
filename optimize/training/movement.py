"""Hybrid block movement pruning: what to remove is learnt while a model is trained.

(Lagunas et al., EMNLP 2021; Sanh et al., NeurIPS 2020.) Query, key, value and output projection of
attention have a score for each square block of weights, the two layers of a feed-forward share one
for each neuron. Where the score's sigmoid is at or below a threshold the weights count as zero; the
gradient of the mask is taken for the score's own (straight-through), so that weights which training
moves towards zero lose theirs. A penalty on the scores, and the threshold, rise during the run. In
the end masks and weights are multiplied: what is zero then is `compaction`'s to remove. Biases have
no mask, since compaction keeps what they bring.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from optimize.errors import SourceError
from optimize.source.family import Family
from optimize.training.settings import MovementSettings

SCORES = "scores"
# Of the blocks or neurons of a matrix, whatever the threshold: none is ever empty.
_LEAST_SHARE = 0.005


class Movement:
    """The masks of one student, which trains them as its weights."""

    def __init__(
        self, student: nn.Module, family: Family, layers: int, settings: MovementSettings
    ) -> None:
        """Puts masks between the student's weights and what it computes with.

        Args:
            student: Its parameters have the scores among them from now on, by names in `SCORES`.
            family: The student's.
            layers: How many it has.
            settings: How to prune.

        Raises:
            SourceError: A matrix cannot be cut into blocks of this size.
        """
        self._settings = settings
        self._masks: list[_Mask] = []
        self._linears: list[_Masked] = []
        for index in range(layers):
            prefix = family.layer(index)
            attention = (family.query, family.key, family.value, family.attention_output)
            for name in attention:
                linear = _linear(student, prefix + name)
                size = settings.block_size
                if any(length % size for length in linear.weight.shape):
                    shape = tuple(linear.weight.shape)
                    raise SourceError(
                        f"--block-size {size} does not divide {prefix}{name}, {shape}"
                    )
                scores = linear.weight.new_zeros(
                    *(length // size for length in linear.weight.shape)
                )
                self._add(linear, nn.Parameter(scores), _Blocks(size))
            inner = _linear(student, prefix + family.inner)
            neurons = nn.Parameter(inner.weight.new_zeros(len(inner.weight)))
            self._add(inner, neurons, _Rows())
            self._add(_linear(student, prefix + family.outer), neurons, _Columns())

    def at(self, step: int, steps: int) -> None:
        """Sets the threshold for a step, counted from 0."""
        threshold = self._settings.threshold(step, steps)
        for mask in self._masks:
            mask.threshold = threshold

    def penalty(self, step: int, steps: int) -> torch.Tensor:
        """What the scores cost: mean of their sigmoids, attention and feed-forward half each."""
        by_kind: dict[bool, list[torch.Tensor]] = {True: [], False: []}
        for linear in self._linears:
            by_kind[isinstance(linear.mask.pattern, _Blocks)].append(
                linear.mask.scores.sigmoid().mean()
            )
        both = [torch.stack(means).mean() for means in by_kind.values()]
        share = self._settings.threshold(step, steps) / self._settings.final_threshold
        return self._settings.regularization * share * torch.stack(both).mean()

    def share(self) -> float:
        """Of all masked weights, how many are kept now."""
        with torch.no_grad():
            kept = sum(float(linear.mask.over(linear.weight).sum()) for linear in self._linears)
        return kept / sum(linear.weight.numel() for linear in self._linears)

    def settle(self) -> None:
        """Multiplies masks into weights, and ends the pruning."""
        for linear in self._linears:
            parametrize.remove_parametrizations(linear.linear, "weight")

    def _add(self, linear: nn.Linear, scores: nn.Parameter, pattern: _Pattern) -> None:
        mask = _Mask(scores, pattern)
        parametrize.register_parametrization(linear, "weight", mask)
        self._masks.append(mask)
        self._linears.append(_Masked(linear, mask))


class _Pattern:
    """How the scores of a matrix lie over its weights."""

    def spread(self, values: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        """One value for each weight."""
        raise NotImplementedError


@dataclass(frozen=True)
class _Blocks(_Pattern):
    size: int

    def spread(self, values: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        return values.repeat_interleave(self.size, 0).repeat_interleave(self.size, 1)


class _Rows(_Pattern):
    def spread(self, values: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        return values[:, None].expand(shape)


class _Columns(_Pattern):
    def spread(self, values: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        return values.expand(shape)


class _Mask(nn.Module):
    """Weights → weights of which some are zero."""

    def __init__(self, scores: nn.Parameter, pattern: _Pattern) -> None:
        super().__init__()
        self.scores = scores
        self.pattern = pattern
        self.threshold = 0.0

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight * self.over(weight)

    def over(self, weight: torch.Tensor) -> torch.Tensor:
        """1 where a weight is kept, else 0."""
        kept: torch.Tensor = _kept(self.scores, self.threshold)
        return self.pattern.spread(kept, weight.shape)


@dataclass(frozen=True)
class _Masked:
    linear: nn.Linear
    mask: _Mask

    @property
    def weight(self) -> torch.Tensor:
        """Before it is masked."""
        parametrizations: Any = self.linear.parametrizations
        weight: torch.Tensor = parametrizations.weight.original
        return weight


class _StraightThrough(torch.autograd.Function):
    """Scores → 1 above the threshold, else 0; gradients pass as they come."""

    @staticmethod
    def forward(_: Any, scores: torch.Tensor, threshold: float) -> torch.Tensor:
        chances = scores.sigmoid()
        least = max(1, round(_LEAST_SHARE * scores.numel()))
        lowest_kept = chances.flatten().topk(least).values[-1]
        return ((chances > threshold) | (chances >= lowest_kept)).to(scores.dtype)

    @staticmethod
    def backward(_: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradients[0], None


def _kept(scores: torch.Tensor, threshold: float) -> torch.Tensor:
    kept: torch.Tensor = _StraightThrough.apply(scores, threshold)  # type: ignore[no-untyped-call]
    return kept


def _linear(module: nn.Module, name: str) -> nn.Linear:
    linear = module.get_submodule(name)
    if not isinstance(linear, nn.Linear):
        raise SourceError(f"{name} is no linear layer")
    return linear


def weights_and_scores(
    module: nn.Module,
) -> tuple[dict[str, nn.Parameter], dict[str, nn.Parameter]]:
    """What is trained, by name: weights, and the scores of masks."""
    trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
    scores = {name: p for name, p in trained.items() if name.endswith(f".{SCORES}")}
    return {name: p for name, p in trained.items() if name not in scores}, scores
