"""The figures made of records, and which bounds they keep."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import statistics
from pathlib import Path

import numpy as np
import pytest

from loadtest.phases import CLOSED, SEQUENTIAL, Phase, Segment
from loadtest.results.recording import KEPT_MESSAGES, Recording, server_total
from loadtest.results.records import ANSWERED, Record, RecordFile
from loadtest.results.result import Result
from loadtest.results.stats import Stats, percentile
from loadtest.targets import Target
from tests.loadtest.given import options

A, B = Target("a", "http://a"), Target("b", "http://b")


def record(row: str = "8 tokens", latency_ms: float = 10.0, **changes: object) -> Record:
    values = {
        "target": "a",
        "row": row,
        "ended_row": row,
        "at": 0.0,
        "tokens": 8,
        "seen": 8,
        "latency_ms": latency_ms,
        "late_ms": 0.0,
        "outcome": ANSWERED,
        "message": "",
        "size": 1,
        "server_ms": {"tokenize": 1.0, "run": 2.0},
    }
    return Record(**{**values, **changes})  # type: ignore[arg-type]


def failure(outcome: str = "error", **changes: object) -> Record:
    return record(outcome=outcome, message="broken", **changes)


def recording_of(*records: Record, arguments: tuple[str, ...] = ()) -> Recording:
    recording = Recording(options(*arguments))
    recording.expect([A, B])
    for each in records:
        recording.add(each)
    return recording


def result_of(*records: Record, arguments: tuple[str, ...] = ()) -> Result:
    return recording_of(*records, arguments=arguments).result()


def test_row_of_sequential_requests() -> None:
    latencies_ms = [10.0, 20.0, 60.0]
    records = [record(latency_ms=ms, server_ms={"run": ms / 10}) for ms in latencies_ms]
    (row,) = result_of(record(""), *records, failure()).targets[0].rows
    assert (row.name, row.tokens, row.requests, row.failed) == ("8 tokens", 8, 4, 1)
    assert row.client
    assert (row.client.mean, row.client.p50, row.client.max) == (30.0, 20.0, 60.0)
    assert row.client.std == pytest.approx(statistics.stdev(latencies_ms), abs=1e-4)
    assert row.client.p95 == pytest.approx(np.percentile(latencies_ms, 95), abs=1e-4)
    assert row.server
    assert row.server.mean == 3.0
    assert row.stages_ms == {"run": 3.0}
    assert row.seconds == pytest.approx(0.09)
    assert row.rate == pytest.approx(3 / 0.09, rel=1e-3)


def test_rate_under_load_counts_the_answers_within_the_time() -> None:
    recording = recording_of(
        record("4 users", ended_row="4 users"),
        record("", ended_row="4 users"),
        record("4 users", ended_row=""),
        failure(row="4 users", ended_row="4 users"),
        arguments=("--scenario", "mixed"),
    )
    segments = [Segment("", 1.0), Segment("4 users", 4.0)]
    recording.phase_over(Phase(1, CLOSED, ["a"], 4, segments), 6.0)
    (row,) = recording.result().targets[0].rows
    assert (row.requests, row.failed, row.seconds, row.rate) == (3, 1, 4.0, 0.5)
    assert row.tokens is None


def test_a_phase_that_is_cut_short_counts_as_long_as_it_was() -> None:
    recording = recording_of(record("x"), arguments=("--scenario", "soak"))
    segments = [Segment("", 1.0), Segment("x", 4.0), Segment("y", 4.0)]
    recording.phase_over(Phase(1, CLOSED, ["a"], 4, segments), 3.0)
    rows = recording.result().targets[0].rows
    assert [(row.name, row.seconds) for row in rows] == [("x", 2.0)]
    recording.phase_over(Phase(2, SEQUENTIAL, ["a"]), 100.0)
    assert recording.result().targets[0].rows == rows


def test_one_request_has_no_deviation_and_none_has_no_figures() -> None:
    assert Stats.of([]) is None
    assert Stats.of([10.0]) == Stats(10.0, None, 10.0, 10.0, 10.0, 10.0)
    (row,) = result_of(failure()).targets[0].rows
    assert (row.client, row.server, row.rate) == (None, None, 0.0)


def test_server_time_is_the_sum_of_its_stages_unless_it_says_more() -> None:
    assert server_total({"tokenize": 1.0, "run": 2.0}) == 3.0
    assert server_total({"run": 2.0, "total": 2.5}) == 2.5


def test_only_the_first_messages_are_kept() -> None:
    (target, _) = result_of(*[failure()] * (KEPT_MESSAGES + 5)).targets
    assert target.failures == ["8 tokens: broken"] * KEPT_MESSAGES
    assert (target.failed, target.outcomes) == (KEPT_MESSAGES + 5, {"error": KEPT_MESSAGES + 5})


def test_the_token_is_in_no_result() -> None:
    result = result_of(arguments=("--token", "secret"))
    assert "secret" not in repr(dataclasses.asdict(result))


@pytest.mark.parametrize("count", [1, 2, 3, 50, 101])
@pytest.mark.parametrize("percent", [0, 50, 99, 100])
def test_percentile_is_that_of_numpy(count: int, percent: int) -> None:
    values = sorted(np.random.default_rng(count).random(count).tolist())
    assert percentile(values, percent) == pytest.approx(np.percentile(values, percent))


def test_every_request_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "requests.csv"
    with contextlib.closing(RecordFile(path)) as file:
        file.write([record(), failure(tokens=0, seen=0)])
        # On the disk before the file is closed: a killed test keeps what it measured.
        lines = list(csv.DictReader(path.read_text("utf-8").splitlines()))
    assert [line["outcome"] for line in lines] == [ANSWERED, "error"]
    assert lines[0]["server_timing"] == "tokenize;dur=1, run;dur=2"
    assert (lines[0]["tokens"], lines[1]["tokens"], lines[1]["message"]) == ("8", "", "broken")


def test_records_survive_the_way_to_another_process() -> None:
    assert Record(*record().values()) == record()


@pytest.mark.parametrize(
    ("arguments", "records", "broken"),
    [
        ((), [record()], []),
        ((), [record(), failure()], ["1 of 2 requests failed (50.00%, at most 0.00%): 1 error"]),
        (("--max-error-rate", "0.5"), [record(), failure()], []),
        (("--max-error-rate", "0.5"), [record(), failure("wrong")], ["1 answers were not to"]),
        ((), [record(), failure(row="")], ["1 of 2 requests failed"]),
        (("--max-p99", "10"), [record()], []),
        (("--max-p99", "9"), [record()], ["8 tokens: p99 10.00 ms, at most 9"]),
        (("--max-p99", "9"), [record("")], []),
        (("--min-rate", "101"), [record()], ["8 tokens: 100.00 answers/s, at least 101"]),
        (("--scenario", "spike", "--max-p99", "9"), [record("spike")], []),
        (("--scenario", "spike", "--max-p99", "9"), [record("after")], ["after: p99 10.00 ms"]),
        (
            ("--scenario", "throughput", "--max-p99", "9"),
            [record("1 user", 5.0), record("2 users", 50.0)],
            [],
        ),
        (
            ("--scenario", "throughput", "--max-p99", "9"),
            [record("2 users", 50.0)],
            ["no step has a p99 of at most 9 ms"],
        ),
        (
            ("--scenario", "throughput", "--min-rate", "3", "--max-p99", "9"),
            [record("1 user", 5.0), record("2 users", 50.0)],
            ["1 user: 2.00 answers/s, at least 3"],
        ),
    ],
)
def test_bounds(arguments: tuple[str, ...], records: list[Record], broken: list[str]) -> None:
    recording = recording_of(*records, arguments=arguments)
    segments = [Segment(row, 0.5) for row in dict.fromkeys(each.row for each in records)]
    recording.phase_over(Phase(1, CLOSED, ["a"], 1, segments), 100.0)
    result = recording.result()
    assert len(result.broken) == len(broken), result.broken
    for line, words in zip(result.broken, broken, strict=True):
        assert line.startswith(f"a: {words}")
    assert result.failed == bool(broken)


def test_lost_targets_and_faults_fail() -> None:
    recording = recording_of(record())
    recording.lose("b", "not measured: refused")
    recording.lose("b", "later")
    assert recording.lost("b")
    assert recording.result().broken == ["b: not measured: refused"]
    recording = recording_of(record())
    recording.faults.append("stopped early")
    assert recording.result().failed
