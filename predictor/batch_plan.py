"""Which features run together: batches under a token budget, padded to their longest feature.

Pure, and used by the server and by evaluation alike, so that what is evaluated is what is served.

A run of rows × longest tokens costs as much as its tokens, padding counted, plus the session's
`run_overhead_tokens`. A feature joins a batch where the padding that it brings costs no more than
the run that it saves: with a small overhead (CPU) neighbours in length run together, with a large
one (GPU) whatever the budget holds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from predictor.types import Batch, Feature

ALONE = -1
"""As `run_overhead_tokens`: no feature joins another, not even one of its length."""


def grow(
    lengths: Sequence[int], anchor: int, max_batch_tokens: int, run_overhead_tokens: int
) -> tuple[int, int]:
    """The batch around one feature: whoever pads least joins first.

    Args:
        lengths: Tokens of the waiting features, ascending.
        anchor: Position in `lengths` of the feature that must run.
        max_batch_tokens: Most rows × longest, padding counted; a longer feature runs alone.
        run_overhead_tokens: Most padding that joining may cost; ALONE for none.

    Returns:
        Half-open range of positions that includes the anchor.
    """
    first, stop = anchor, anchor + 1
    longest = lengths[anchor]
    while True:
        rows = stop - first
        shorter = longest - lengths[first - 1] if first else None
        if shorter is not None and (rows + 1) * longest > max_batch_tokens:
            shorter = None
        longer = rows * (lengths[stop] - longest) if stop < len(lengths) else None
        if longer is not None and (rows + 1) * lengths[stop] > max_batch_tokens:
            longer = None
        if longer is not None and (shorter is None or longer <= shorter):
            if longer > run_overhead_tokens:
                return first, stop
            longest = lengths[stop]
            stop += 1
        elif shorter is not None and shorter <= run_overhead_tokens:
            first -= 1
        else:
            return first, stop


def plan(
    lengths: Sequence[int], max_batch_tokens: int, run_overhead_tokens: int
) -> list[list[int]]:
    """All batches for features that wait together, the earliest one's batch first.

    Args:
        lengths: Tokens of each feature, in order of arrival.
        max_batch_tokens: As in `grow`.
        run_overhead_tokens: As in `grow`.

    Returns:
        Positions in `lengths`, one list per batch.
    """
    waiting = sorted((length, position) for position, length in enumerate(lengths))
    sizes = [length for length, _ in waiting]
    taken = [False] * len(lengths)
    batches = []
    for position, length in enumerate(lengths):
        if taken[position]:
            continue
        anchor = bisect_left(waiting, (length, position))
        first, stop = grow(sizes, anchor, max_batch_tokens, run_overhead_tokens)
        batch = [place for _, place in waiting[first:stop]]
        batches.append(batch)
        for place in batch:
            taken[place] = True
        del waiting[first:stop], sizes[first:stop]
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
