"""The features that wait for a run: who is next, and who runs with it.

Not safe for several threads by itself; the batcher holds a lock around it.
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

BATCHES_AHEAD = 4


@dataclass(slots=True, eq=False)
class Entry(Generic[Owner]):
    """A feature that waits.

    Attributes:
        owner: The request it belongs to.
        position: Which of the owner's features it is.
        feature: The feature.
        serial: Order of arrival.
        waiting: Whether it is still in the queue.
        grouped: Whether it is near enough to its turn to be grouped by length.
    """

    owner: Owner
    position: int
    feature: Feature
    serial: int
    waiting: bool = field(default=True)
    grouped: bool = field(default=False)


class FeatureQueue(Generic[Owner]):
    """Features by turn and, near their turn, by length.

    A feature's turn comes when as many tokens have been run since its request came as lie before
    it in the request. So a request of many features keeps nobody waiting who comes after it, and
    is itself overtaken only by what came before those features were due. Of the features that are
    next, the first few batches' worth are grouped by length; nobody is overtaken by more than that.
    """

    def __init__(self, max_batch_tokens: int, run_overhead_tokens: int) -> None:
        """Takes the bounds of a batch; see batch_plan.grow."""
        self._max_batch_tokens = max_batch_tokens
        self._run_overhead_tokens = run_overhead_tokens
        self._ran = 0
        self._waiting = 0
        self._serials = itertools.count()
        self._later: list[tuple[int, int, Entry[Owner]]] = []  # heap by turn
        self._next: list[tuple[int, int, Entry[Owner]]] = []  # heap by turn
        # The same as `_next`, ascending by length, then by serial: entries are never compared.
        self._by_length: list[tuple[int, int, Entry[Owner]]] = []
        self._lengths: list[int] = []
        self._next_tokens = 0

    def __len__(self) -> int:
        return self._waiting

    def push(self, owner: Owner, features: Sequence[Feature]) -> list[Entry[Owner]]:
        """Appends a request's features; their entries, by which they can be withdrawn."""
        entries = []
        ahead = 0
        for position, feature in enumerate(features):
            entry = Entry(owner, position, feature, next(self._serials))
            heapq.heappush(self._later, (self._ran + ahead, entry.serial, entry))
            ahead += len(feature)
            entries.append(entry)
        self._waiting += len(entries)
        return entries

    def withdraw(self, entries: Iterable[Entry[Owner]]) -> None:
        """Removes those of the entries that still wait."""
        for entry in entries:
            if entry.waiting:
                self._left(entry)
                if entry.grouped:
                    place = bisect_left(self._by_length, (len(entry.feature), entry.serial))
                    self._forget(place, place + 1)

    def take(self) -> list[Entry[Owner]]:
        """The next batch: whoever's turn it is, and those that fit with it; empty if none waits."""
        self._look_ahead()
        while self._next and not self._next[0][2].waiting:
            heapq.heappop(self._next)
        if not self._next:
            return []
        _, serial, entry = heapq.heappop(self._next)
        anchor = bisect_left(self._by_length, (len(entry.feature), serial))
        first, stop = grow(self._lengths, anchor, self._max_batch_tokens, self._run_overhead_tokens)
        batch = [entry for _, _, entry in self._by_length[first:stop]]
        self._forget(first, stop)
        for entry in batch:
            self._left(entry)
            self._ran += len(entry.feature)
        return batch

    def _look_ahead(self) -> None:
        """Moves features near their turn to where they are grouped."""
        while self._later and self._next_tokens < BATCHES_AHEAD * self._max_batch_tokens:
            turn, serial, entry = heapq.heappop(self._later)
            if entry.waiting:
                entry.grouped = True
                length = len(entry.feature)
                place = bisect_left(self._by_length, (length, serial))
                self._by_length.insert(place, (length, serial, entry))
                self._lengths.insert(place, length)
                self._next_tokens += length
                heapq.heappush(self._next, (turn, serial, entry))

    def _forget(self, first: int, stop: int) -> None:
        self._next_tokens -= sum(self._lengths[first:stop])
        del self._by_length[first:stop], self._lengths[first:stop]

    def _left(self, entry: Entry[Owner]) -> None:
        entry.waiting = False
        self._waiting -= 1
