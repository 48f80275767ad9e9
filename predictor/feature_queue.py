"""The features that wait for a run: who is next, and who runs with it.

Not safe for several threads by itself; batching.py holds a lock around it.
"""

from __future__ import annotations

import heapq
import itertools
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from predictor.batch_plan import grow
from predictor.types import Feature

Owner = TypeVar("Owner")


@dataclass(slots=True, eq=False)
class Entry(Generic[Owner]):
    """A feature that waits.

    Attributes:
        owner: The request it belongs to.
        position: Which of the owner's features it is.
        feature: The feature.
        serial: Order of arrival.
        waiting: Whether it is still in the queue.
    """

    owner: Owner
    position: int
    feature: Feature
    serial: int
    waiting: bool = field(default=True)


class FeatureQueue(Generic[Owner]):
    """Features by turn and by length.

    A turn is one batch's worth of a request's features: the first of them has its turn at the next
    run, every further one a run later. So a request of many features keeps nobody waiting who came
    shortly after it, and is itself never overtaken for long.
    """

    def __init__(self, max_batch_tokens: int, run_overhead_tokens: int) -> None:
        """Takes the bounds of a batch; see batch_plan.grow."""
        self.tokens = 0
        self._max_batch_tokens = max_batch_tokens
        self._run_overhead_tokens = run_overhead_tokens
        self._runs = 0
        self._serials = itertools.count()
        self._by_turn: list[tuple[int, int, Entry[Owner]]] = []
        # Both ascend by length, then by serial, which is unique: entries are never compared.
        self._by_length: list[tuple[int, int, Entry[Owner]]] = []
        self._lengths: list[int] = []

    def __len__(self) -> int:
        return len(self._by_length)

    def push(self, owner: Owner, features: Sequence[Feature]) -> list[Entry[Owner]]:
        """Appends a request's features; their entries, by which they can be withdrawn."""
        entries = []
        ahead = 0
        for position, feature in enumerate(features):
            entry = Entry(owner, position, feature, next(self._serials))
            turn = self._runs + ahead // self._max_batch_tokens
            heapq.heappush(self._by_turn, (turn, entry.serial, entry))
            length = len(feature)
            place = bisect_left(self._by_length, (length, entry.serial))
            self._by_length.insert(place, (length, entry.serial, entry))
            self._lengths.insert(place, length)
            ahead += length
            entries.append(entry)
        self.tokens += ahead
        return entries

    def withdraw(self, entries: Iterable[Entry[Owner]]) -> None:
        """Removes those of the entries that still wait."""
        for entry in entries:
            if entry.waiting:
                entry.waiting = False
                length = len(entry.feature)
                place = bisect_left(self._by_length, (length, entry.serial))
                del self._by_length[place], self._lengths[place]
                self.tokens -= length

    def take(self) -> list[Entry[Owner]]:
        """The next batch: whoever's turn it is, and those that fit with it; empty if none waits."""
        while self._by_turn and not self._by_turn[0][2].waiting:
            heapq.heappop(self._by_turn)
        if not self._by_turn:
            return []
        _, serial, entry = heapq.heappop(self._by_turn)
        anchor = bisect_left(self._by_length, (len(entry.feature), serial))
        first, stop = grow(self._lengths, anchor, self._max_batch_tokens, self._run_overhead_tokens)
        batch = [entry for _, _, entry in self._by_length[first:stop]]
        del self._by_length[first:stop], self._lengths[first:stop]
        for entry in batch:
            entry.waiting = False
            self.tokens -= len(entry.feature)
        self._runs += 1
        return batch
