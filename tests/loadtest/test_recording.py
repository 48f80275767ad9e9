"""The figures made of the latencies."""

import statistics

import numpy as np
import pytest

from loadtest.options import Options
from loadtest.recording import KEPT_MESSAGES, Recording, percentile

OPTIONS = Options(
    model_name="qa",
    lengths=(64, 8, 16),
    requests_per_length=3,
    warmup=1,
    seed=5,
    target_name=None,
    results=None,
    request_timeout=1.0,
)


@pytest.fixture
def recording() -> Recording:
    return Recording(OPTIONS, "http://host")


def test_row(recording: Recording) -> None:
    latencies_ms = [10.0, 20.0, 60.0]
    for number, latency_ms in enumerate(latencies_ms):
        recording.add(8, latency_ms / 1e3, {"run": 1.0 + number})
    row = recording.row(8)
    assert (row.requests, row.failures, row.latencies_ms) == (3, 0, latencies_ms)
    assert (row.mean_ms, row.p50_ms, row.server_ms) == (30.0, 20.0, {"run": 2.0})
    assert row.std_ms == pytest.approx(statistics.stdev(latencies_ms), abs=1e-4)
    assert row.p99_ms == pytest.approx(np.percentile(latencies_ms, 99), abs=1e-4)


def test_one_request_has_no_deviation(recording: Recording) -> None:
    recording.add(8, 0.01, {})
    row = recording.row(8)
    assert (row.mean_ms, row.std_ms, row.p99_ms) == (10.0, None, 10.0)


def test_nothing_measured(recording: Recording) -> None:
    recording.fail("broken", 16)
    row = recording.row(16)
    assert (row.requests, row.failures, row.mean_ms, row.p50_ms) == (0, 1, None, None)
    assert recording.measured == 0


def test_result_has_the_lengths_touched_in_the_order_asked_for(recording: Recording) -> None:
    recording.fail("broken", 8)
    recording.add(64, 0.01, {})
    recording.fail("gone")
    result = recording.result()
    assert [row.sequence_length for row in result.rows] == [64, 8]
    assert result.failures == ["seq 8: broken", "gone"]
    assert (result.target, result.seed, recording.failed) == ("http://host", 5, 2)


def test_only_the_first_messages_are_kept(recording: Recording) -> None:
    for number in range(KEPT_MESSAGES + 5):
        recording.fail(str(number), 8)
    assert len(recording.result().failures) == KEPT_MESSAGES
    assert recording.row(8).failures == recording.failed == KEPT_MESSAGES + 5


@pytest.mark.parametrize("count", [1, 2, 3, 50, 101])
@pytest.mark.parametrize("percent", [0, 50, 99, 100])
def test_percentile_is_that_of_numpy(count: int, percent: int) -> None:
    values = np.random.default_rng(count).random(count).tolist()
    assert percentile(values, percent) == pytest.approx(np.percentile(values, percent))
