"""Training features → batches: by token budget, of similar lengths, the same for the same seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from optimize.source.family import Input
from optimize.training.features import TrainingFeature

# Features whose lengths are sorted together: little is padded, and the order stays random.
_POOL = 2048


@dataclass(frozen=True)
class TrainingBatch:
    """Features side by side, right-padded.

    Attributes:
        inputs: Input name → int64 (rows, longest).
        start, end: Target tokens, int64 (rows,).
    """

    inputs: dict[str, torch.Tensor]
    start: torch.Tensor
    end: torch.Tensor

    @property
    def real(self) -> torch.Tensor:
        """Which tokens are none of padding, bool (rows, longest)."""
        return self.inputs["attention_mask"].bool()

    @property
    def tokens(self) -> int:
        """Of all rows, without padding; asked of a GPU, it waits for it."""
        return int(self.inputs["attention_mask"].sum())

    def to(self, device: torch.device) -> TrainingBatch:
        """The same on another device."""
        inputs = {name: ids.to(device) for name, ids in self.inputs.items()}
        return TrainingBatch(inputs, self.start.to(device), self.end.to(device))


def plan(lengths: Sequence[int], batch_tokens: int, seed: int, epoch: int) -> list[list[int]]:
    """One epoch's batches, each the positions of its features.

    Args:
        lengths: Tokens of every feature.
        batch_tokens: Most rows × longest; a longer feature is a batch of its own.
        seed, epoch: What the order depends on, beside the lengths, and nothing else.
    """
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(len(lengths))
    batches: list[list[int]] = []
    for first in range(0, len(order), _POOL):
        pool = sorted((int(i) for i in order[first : first + _POOL]), key=lengths.__getitem__)
        batch: list[int] = []
        for position in pool:
            if batch and (len(batch) + 1) * lengths[position] > batch_tokens:
                batches.append(batch)
                batch = []
            batch.append(position)
        batches.append(batch)
    return [batches[i] for i in random.permutation(len(batches))]


def counts(lengths: Sequence[int], batch_tokens: int, seed: int, epochs: float) -> list[int]:
    """How many batches of each epoch there are; of the last one as many as its part has.

    Epochs differ by some batches, as it is chance which lengths are sorted together.
    """
    whole, part = int(epochs), epochs - int(epochs)
    found = [len(plan(lengths, batch_tokens, seed, epoch)) for epoch in range(whole)]
    if part:
        found.append(math.ceil(part * len(plan(lengths, batch_tokens, seed, whole))))
    return found


def collate(
    features: Sequence[TrainingFeature], inputs: Sequence[Input], pad_token_id: int
) -> TrainingBatch:
    """Features side by side.

    Args:
        features: At least one.
        inputs: What the model is fed.
        pad_token_id: What rows are filled up with.
    """
    shape = len(features), max(map(len, features))
    ids = np.full(shape, pad_token_id, dtype=np.int64)
    types, mask = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for row, feature in enumerate(features):
        ids[row, : len(feature)] = feature.input_ids
        types[row, : len(feature)] = feature.token_type_ids
        mask[row, : len(feature)] = 1
    made = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    return TrainingBatch(
        {name: torch.from_numpy(made[name]) for name in inputs},
        torch.tensor([feature.start for feature in features]),
        torch.tensor([feature.end for feature in features]),
    )
