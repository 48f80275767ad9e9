"""Which phases a scenario has, and who takes turns."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from itertools import pairwise

import pytest

from loadtest.phases import CLOSED, OPEN, SEQUENTIAL, Phase, Segment, plan
from loadtest.scenarios.arrivals import poisson
from tests.loadtest.given import options


class Served:
    """A target's rate by its users, and the targets that are lost."""

    def __init__(self, **rates: dict[int, float]) -> None:
        self.rates = rates
        self.lost_targets: set[str] = set()

    def lost(self, target: str) -> bool:
        return target in self.lost_targets

    def rate_of(self, target: str, row: str) -> float:
        return self.rates[target][int(row.split()[0])]


def steps(served: Served, *arguments: str) -> dict[str, list[int]]:
    users = defaultdict(list)
    given = options("--scenario", "throughput", *arguments)
    for phase in plan(given, list(served.rates), served):
        assert phase.kind == CLOSED
        (target,) = phase.targets
        users[target].append(phase.users)
    return dict(users)


def test_throughput_steps_until_twice_in_a_row_nothing_is_won() -> None:
    knee_at_4 = {1: 10.0, 2: 20.0, 4: 36.0, 8: 37.0, 16: 36.0, 32: 0.0, 64: 0.0}
    noisy = {1: 10.0, 2: 10.5, 4: 30.0, 8: 31.0, 16: 32.0, 32: 0.0, 64: 0.0}
    endless = {users: 10.0 * users for users in (1, 2, 4, 8, 16, 32, 64)}
    assert steps(Served(a=knee_at_4, b=noisy, c=endless)) == {
        "a": [1, 2, 4, 8, 16],
        "b": [1, 2, 4, 8, 16],
        "c": [1, 2, 4, 8, 16, 32, 64],
    }
    assert steps(Served(c=endless), "--max-users", "5") == {"c": [1, 2, 4]}


def test_throughput_takes_turns_step_by_step() -> None:
    endless = {users: 10.0 * users for users in (1, 2, 4, 8, 16, 32, 64)}
    given = options("--scenario", "throughput")
    users = [phase.users for phase in plan(given, ["a", "b"], Served(a=endless, b=endless))]
    assert users == sorted(users)


def test_lost_targets_are_left_out() -> None:
    served = Served(a={}, b={})
    phases = plan(options("--scenario", "soak"), ["a", "b"], served)
    assert next(phases).targets == ["a"]
    served.lost_targets.add("b")
    assert list(phases) == []
    assert [p.targets for p in plan(options(), ["a", "b"], served)] == [["a"]]


def test_latency_table_is_one_phase_of_all() -> None:
    (phase,) = plan(options(), ["a", "b"], Served())
    assert (phase.kind, phase.targets, phase.users) == (SEQUENTIAL, ["a", "b"], 1)


@pytest.mark.parametrize("scenario", ["open-loop", "mixed"])
def test_rounds(scenario: str) -> None:
    given = options("--scenario", scenario, "--duration", "30", "--settle", "2", "--rounds", "3")
    phases = list(plan(given, ["a", "b"], Served()))
    assert Counter(phase.targets[0] for phase in phases) == {"a": 3, "b": 3}
    assert [phase.number for phase in phases] == [1, 2, 3, 4, 5, 6]
    for first, second in zip(phases[::2], phases[1::2], strict=True):
        assert first.targets != second.targets, "each round has both"
    assert {phase.seconds for phase in phases} == {12.0}
    (alone,) = plan(given, ["a"], Served())
    assert alone.seconds == 32.0


def test_rows_of_a_spike() -> None:
    given = options(
        *("--scenario", "spike", "--rate", "5", "--spike-factor", "3"),
        *("--duration", "20", "--spike-seconds", "4", "--settle", "1"),
    )
    (phase,) = plan(given, ["a"], Served())
    assert phase.kind == OPEN
    assert [phase.row_at(at) for at in (0.5, 1.5, 20.9, 21.1, 24.9, 25.1, 44.9, 45.1)] == [
        "", "before", "before", "spike", "spike", "after", "after", "",
    ]  # fmt: skip
    assert [segment.rate for segment in phase.segments] == [5, 5, 15, 5]


def test_soak_has_a_row_for_each_tenth() -> None:
    (phase,) = plan(options("--scenario", "soak", "--duration", "50"), ["a"], Served())
    rows = [segment.row for segment in phase.segments if segment.row]
    assert (len(rows), rows[0], rows[-1]) == (10, "0 to 5 s", "45 to 50 s")


def test_message_round_trip() -> None:
    phase = Phase(3, OPEN, ["a"], 2, [Segment("", 1.0, 5.0), Segment("x", 2.0, 5.0)])
    assert Phase.from_message(json.loads(json.dumps(phase.message()))) == phase


def test_arrivals_are_a_poisson_process_of_the_rate() -> None:
    segments = [Segment("slow", 200.0, 5.0), Segment("none", 50.0), Segment("fast", 100.0, 50.0)]
    times = list(poisson(segments, 1, random.Random(0)))
    assert times == sorted(times)
    slow = [time for time in times if time < 200]
    fast = [time for time in times if time >= 250]
    assert len(slow) + len(fast) == len(times)
    # The count's deviation is its root: 1000 ± 32 and 5000 ± 71; six of them are allowed.
    assert abs(len(slow) - 1000) < 6 * 32
    assert abs(len(fast) - 5000) < 6 * 71
    # Exponential gaps deviate as much as they last.
    gaps = [after - before for before, after in pairwise(fast)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert deviation == pytest.approx(mean, rel=0.1)


def test_several_sources_share_the_rate() -> None:
    segments = [Segment("x", 100.0, 40.0)]
    counts = [len(list(poisson(segments, 4, random.Random(seed)))) for seed in range(4)]
    assert all(abs(count - 1000) < 6 * 32 for count in counts)
