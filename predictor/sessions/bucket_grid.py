"""The fixed shapes that batches are padded to on a GPU, so that buffers and CUDA graphs are reused.

Pure. Lengths are multiples of 64, which the matrix units like, and the longest length itself; rows
are powers of two. A length has as many rows as a batch of that length can have under the budget.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

LENGTH_STEP = 64
# Batches of shorter features than this may have more rows than the grid holds and then run in
# parts: a bucket for thousands of four-token rows would cost more memory than it is ever worth.
SHORTEST_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Bucket:
    """A shape: rows, and tokens per row."""

    rows: int
    length: int

    @property
    def tokens(self) -> int:
        """Tokens computed in a run, padding counted."""
        return self.rows * self.length


class BucketGrid:
    """Every bucket that batches under a token budget need."""

    def __init__(self, max_seq_length: int, max_batch_tokens: int) -> None:
        """Makes the grid.

        Args:
            max_seq_length: Tokens of the longest feature.
            max_batch_tokens: Rows × longest of the largest batch; a longer feature comes alone.
        """
        self._lengths = [*range(LENGTH_STEP, max_seq_length, LENGTH_STEP), max_seq_length]
        shortest = [SHORTEST_LENGTH, *(length + 1 for length in self._lengths[:-1])]
        self._rows = [
            _powers_of_two(max_batch_tokens // min(first, length))
            for first, length in zip(shortest, self._lengths, strict=True)
        ]

    @property
    def buckets(self) -> tuple[Bucket, ...]:
        """All buckets, those of most tokens first."""
        every = (
            Bucket(rows, length)
            for length, column in zip(self._lengths, self._rows, strict=True)
            for rows in column
        )
        return tuple(sorted(every, key=lambda bucket: bucket.tokens, reverse=True))

    def most_rows(self, longest: int) -> int:
        """Rows of the largest bucket for features of that length; raises ValueError as `fit`."""
        return self._rows[self._column(longest)][-1]

    def fit(self, rows: int, longest: int) -> Bucket:
        """The bucket of fewest tokens that holds a batch.

        Raises:
            ValueError: No bucket does: the feature is too long or the rows are too many.
        """
        column = self._column(longest)
        index = bisect_left(self._rows[column], rows)
        if index == len(self._rows[column]):
            raise ValueError(f"no bucket holds {rows} rows of {longest} tokens")
        return Bucket(self._rows[column][index], self._lengths[column])

    def _column(self, longest: int) -> int:
        index = bisect_left(self._lengths, longest)
        if index == len(self._lengths):
            raise ValueError(f"{longest} tokens are more than the {self._lengths[-1]} of the grid")
        return index


def _powers_of_two(needed: int) -> list[int]:
    """1, 2, 4, … up to the first that is no less than `needed`."""
    rows = [1]
    while rows[-1] < needed:
        rows.append(2 * rows[-1])
    return rows
