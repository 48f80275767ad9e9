"""Each check of a soak holds where it should and fails where it should."""

import pytest

from benchmarks.soak.prober import Probes
from benchmarks.soak.senders import HUNG_UP, NO_ANSWER, Outcome
from benchmarks.soak.traffic import Shot
from benchmarks.soak.verdict import (
    QueueBound,
    answered_tokens,
    check_goodput,
    check_latency,
    check_memory,
    check_probes,
    check_statuses,
    status_table,
)

MIB = 1 << 20


def outcome(kind="valid", status=200, seconds=1.0, tokens=100, **rest):
    return Outcome(Shot(kind, "v2", b"", tokens), status, seconds, **rest)


GOOD = [
    outcome(),
    outcome(status=429),
    outcome(status=503),
    outcome("short-timeout", 504),
    outcome("invalid", 400),
    outcome("huge-body", 413),
    outcome("hang-up-after", HUNG_UP),
]


def failed(checks):
    return [check.name for check in checks if not check.held]


def test_statuses_as_they_should_be():
    assert failed(check_statuses(GOOD)) == []


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        (
            outcome(status=500),
            ["no 5xx but 503 and 504", "every answer is one its request may have"],
        ),
        (outcome(status=NO_ANSWER), ["every answer is one its request may have"]),
        (outcome(status=400), ["every answer is one its request may have"]),
        (outcome("invalid", 200), ["every answer is one its request may have"]),
        (outcome("huge-context", 200), ["every answer is one its request may have"]),
        (outcome(status=429, retry_after=False), ["every 429 carries Retry-After"]),
        (outcome("hang-up-after", 500), ["no 5xx but 503 and 504"]),
    ],
)
def test_a_wrong_status_is_found(wrong, names):
    assert failed(check_statuses([*GOOD, wrong])) == names


@pytest.mark.parametrize(("status", "kind"), [(429, "valid"), (413, "huge-body")])
def test_a_refusal_that_never_came_is_missed(status, kind):
    checks = check_statuses([o for o in GOOD if o.status != status] + [outcome("invalid", 429)])
    (name,) = failed(checks)
    assert str(status) in name


def test_the_bound_follows_from_the_queue():
    bound = QueueBound(queue_tokens=700, ahead_tokens=100, own_tokens=100)
    assert bound.tokens == 1000
    # One answer of 100 tokens a second: who takes ten seconds has seen a thousand tokens pass.
    steady = [outcome(seconds=9.5, ended=float(second)) for second in range(100)]
    refused = [outcome(status=429, seconds=99, ended=50.0)]
    assert check_latency(steady + refused, bound).held
    assert not check_latency([outcome(seconds=10.5, ended=o.ended) for o in steady], bound).held
    # A server that stands still, as on a machine whose core is taken, is not to blame.
    assert check_latency([*steady, outcome(seconds=60.0, ended=160.0)], bound).held
    assert not check_latency(refused, bound).held


def test_goodput():
    assert answered_tokens([*GOOD, outcome(tokens=7)]) == 107
    assert check_goodput(60.0, 100.0).held
    assert not check_goodput(49.0, 100.0).held


def test_memory_is_judged_after_the_warm_up():
    rising, flat = list(range(100 * MIB, 400 * MIB, 10 * MIB)), [400 * MIB] * 60
    assert check_memory(rising + flat).held
    assert check_memory(flat + [430 * MIB] * 30).held
    assert not check_memory([400 * MIB + second * MIB for second in range(90)]).held
    assert not check_memory(flat + [440 * MIB] * 30).held


@pytest.mark.parametrize(
    ("seconds", "failures", "held"),
    [
        ([0.01] * 1000, [], True),
        ([0.01] * 1000 + [0.9], [], True),
        ([0.01] * 1000 + [1.1], [], False),
        ([0.01] * 95 + [0.2] * 5, [], False),
        ([0.01] * 100, ["/ready: 503"], False),
        ([], [], False),
    ],
)
def test_probes(seconds, failures, held):
    assert (failed(check_probes(Probes(seconds, failures))) == []) is held


def test_the_table_counts_every_outcome():
    lines = status_table([*GOOD, outcome()]).splitlines()
    assert lines[0].split() == ["200", "400", "413", "429", "hung", "up", "503", "504"]
    assert lines[1].split() == ["valid", "2", "1", "1"]
    assert len(lines) == 6
