"""What a test does when: each scenario as a sequence of phases, several targets taking turns."""

import dataclasses
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from loadtest.options import DEFAULT_LENGTHS, Options
from loadtest.squad import MOST_TOKENS

PREPARE, SEQUENTIAL, CLOSED, OPEN = "prepare", "sequential", "closed", "open"
_WON = 1.1
"""A step of the throughput scenario is worth it where it brings a tenth more than the best."""
_WINDOWS = 10


@dataclass(frozen=True)
class Segment:
    """A part of a phase and the row that it fills, "" for none; `rate` in arrivals per second."""

    row: str
    seconds: float
    rate: float = 0.0


@dataclass(frozen=True)
class Phase:
    """What all users do until the next phase.

    `prepare` looks at each target; `sequential` asks all of them in turn, one request at a time,
    for every length; `closed` lets `users` ask one target, each again once it is answered; `open`
    sends requests when they arrive, whether others are answered or not.
    """

    number: int
    kind: str
    targets: list[str]
    users: int = 1
    segments: list[Segment] = dataclasses.field(default_factory=list)

    @property
    def seconds(self) -> float:
        """How long it takes; 0 for one that ends by itself."""
        return sum(segment.seconds for segment in self.segments)

    def row_at(self, offset: float) -> str:
        """The row of what happens so many seconds after the begin, "" for none."""
        for segment in self.segments:
            if offset < segment.seconds:
                return segment.row
            offset -= segment.seconds
        return ""

    def message(self) -> dict[str, Any]:
        """The phase as plain values, for other processes."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_message(message: dict[str, Any]) -> "Phase":
        """The phase out of plain values."""
        segments = [Segment(**segment) for segment in message["segments"]]
        return Phase(**{**message, "segments": segments})


class Measured(Protocol):
    """What the plan knows of the test so far."""

    def lost(self, target: str) -> bool:
        """Whether the target answers no more."""

    def rate_of(self, target: str, row: str) -> float:
        """Right answers per second in a row."""


def plan(options: Options, targets: Sequence[str], measured: Measured) -> Iterator[Phase]:
    """The phases after preparation, each made when it is due; lost targets are left out."""
    scenarios = {
        "latency-table": _latency_table,
        "throughput": _throughput,
        "open-loop": _open_loop,
        "mixed": _mixed,
        "soak": _soak,
        "spike": _spike,
    }
    number = 0
    for phase in scenarios[options.scenario](options, targets, measured):
        left = [target for target in phase.targets if not measured.lost(target)]
        if left:
            number += 1
            yield dataclasses.replace(phase, number=number, targets=left)


def lengths_of_table(options: Options) -> tuple[int, ...]:
    """The sequence lengths of the latency table."""
    return options.token_counts or tuple(map(int, DEFAULT_LENGTHS.split(",")))


def longest_length(options: Options, limit: int) -> int:
    """The longest sequence that a test would like to ask for, in tokens; `limit` 0 for none."""
    if options.token_counts or options.scenario == "latency-table":
        return max(lengths_of_table(options))
    return min(MOST_TOKENS, limit) if limit else MOST_TOKENS


def _latency_table(options: Options, targets: Sequence[str], _: Measured) -> Iterator[Phase]:
    yield Phase(0, SEQUENTIAL, list(targets))


def _throughput(options: Options, targets: Sequence[str], measured: Measured) -> Iterator[Phase]:
    best = dict.fromkeys(targets, 0.0)
    in_vain = dict.fromkeys(targets, 0)
    users = 1
    while users <= options.max_users:
        row = users_row(users)
        for target in _shuffled(targets, options.seed + users):
            if in_vain[target] < 2:
                yield _phase(options, CLOSED, target, users, [Segment(row, options.step_seconds)])
                rate = measured.rate_of(target, row)
                in_vain[target] = 0 if rate > _WON * best[target] else in_vain[target] + 1
                best[target] = max(best[target], rate)
        users *= 2


def _open_loop(options: Options, targets: Sequence[str], _: Measured) -> Iterator[Phase]:
    for target, seconds in _turns(options, targets):
        segment = Segment(f"{options.rate:g}/s", seconds, options.rate)
        yield _phase(options, OPEN, target, 1, [segment])


def _mixed(options: Options, targets: Sequence[str], _: Measured) -> Iterator[Phase]:
    for target, seconds in _turns(options, targets):
        segment = Segment(users_row(options.users), seconds)
        yield _phase(options, CLOSED, target, options.users, [segment])


def _soak(options: Options, targets: Sequence[str], _: Measured) -> Iterator[Phase]:
    window = options.duration / _WINDOWS
    names = [f"{window * i:g} to {window * (i + 1):g} s" for i in range(_WINDOWS)]
    for target in targets:
        segments = [Segment(name, window, options.rate) for name in names]
        yield _phase(options, OPEN, target, 1, segments)


def _spike(options: Options, targets: Sequence[str], _: Measured) -> Iterator[Phase]:
    peak = options.rate * options.spike_factor
    for target in targets:
        segments = [
            Segment("before", options.duration, options.rate),
            Segment(SPIKE_ROW, options.spike_seconds, peak),
            Segment("after", options.duration, options.rate),
        ]
        yield _phase(options, OPEN, target, 1, segments)


SPIKE_ROW = "spike"


def users_row(users: int) -> str:
    """The name of a row of so many users."""
    return "1 user" if users == 1 else f"{users} users"


def _phase(options: Options, kind: str, target: str, users: int, segments: list[Segment]) -> Phase:
    settling = [Segment("", options.settle, segments[0].rate)] if options.settle else []
    return Phase(0, kind, [target], users, settling + segments)


def _turns(options: Options, targets: Sequence[str]) -> Iterator[tuple[str, float]]:
    """Each target's part of each round, in an order of its own, so that noise hits all alike."""
    rounds = options.rounds if len(targets) > 1 else 1
    for number in range(rounds):
        for target in _shuffled(targets, options.seed + number):
            yield target, options.duration / rounds


def _shuffled(targets: Sequence[str], seed: int) -> list[str]:
    return random.Random(seed).sample(list(targets), len(targets))
