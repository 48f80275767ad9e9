"""Which features run together: batches under a token budget, padded to their longest feature.

Pure, and used by the server and by evaluation alike, so that what is evaluated is what is served.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from predictor.types import Batch, Feature


def plan(lengths: Sequence[int], max_batch_tokens: int) -> list[list[int]]:
    """Groups features so that rows × longest ≤ budget, neighbours in length together.

    Args:
        lengths: Tokens of each feature.
        max_batch_tokens: The budget, padding counted; a longer feature runs alone.

    Returns:
        Positions in `lengths`, one list per batch, shortest features first.
    """
    batches: list[list[int]] = []
    current: list[int] = []
    for position in sorted(range(len(lengths)), key=lambda p: (lengths[p], p)):
        if current and (len(current) + 1) * lengths[position] > max_batch_tokens:
            batches.append(current)
            current = []
        current.append(position)
    if current:
        batches.append(current)
    return batches


def collate(features: Sequence[Feature], inputs: Sequence[str], pad_token_id: int) -> Batch:
    """The model's named inputs, int64 (rows, longest), padded on the right."""
    shape = (len(features), max(len(feature) for feature in features))
    batch = {
        name: np.full(shape, pad_token_id if name == "input_ids" else 0, dtype=np.int64)
        for name in inputs
    }
    for row, feature in enumerate(features):
        values = {
            "input_ids": feature.input_ids,
            "attention_mask": np.ones(len(feature), dtype=np.int64),
            "token_type_ids": feature.token_type_ids,
        }
        for name, array in batch.items():
            array[row, : len(feature)] = values[name]
    return batch
