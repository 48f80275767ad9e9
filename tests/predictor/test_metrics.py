"""What /metrics shows."""

import pytest
from prometheus_client import CollectorRegistry

from predictor.metrics import Metrics
from predictor.types import Timings


@pytest.fixture
def registry():
    return CollectorRegistry()


def test_stages_have_buckets_from_a_quarter_of_a_millisecond(registry):
    Metrics(registry).answered(Timings(tokenize=0.0002, queue=0.0, run=0.0004, extract=40.0))

    def below(stage, seconds):
        labels = {"stage": stage, "le": seconds}
        return registry.get_sample_value("spanserve_stage_seconds_bucket", labels)

    assert (below("tokenize", "0.00025"), below("run", "0.00025"), below("run", "0.0005")) == (
        1, 0, 1,
    )  # fmt: skip
    assert (below("extract", "30.0"), below("extract", "+Inf")) == (0, 1)


def test_batches_and_their_padding(registry):
    metrics = Metrics(registry)
    metrics.ran(4, 300, 100)
    assert registry.get_sample_value("spanserve_batch_rows_sum") == 4
    assert registry.get_sample_value("spanserve_batch_tokens_sum") == 400
    assert registry.get_sample_value("spanserve_batch_padding_ratio_sum") == 0.25


def test_gauges_are_read_when_someone_looks(registry):
    state = {"requests": 2, "tokens": 300, "all": 5}
    Metrics(registry).watch(
        queue_requests=lambda: state["requests"],
        queue_tokens=lambda: state["tokens"],
        in_flight=lambda: state["all"],
    )
    state["tokens"] = 400
    names = ("queue_requests", "queue_tokens", "in_flight")
    assert [registry.get_sample_value(f"spanserve_{n}") for n in names] == [2, 400, 5]


def test_outcomes_by_protocol_and_status(registry):
    metrics = Metrics(registry)
    for status in ("200", "200", "429"):
        metrics.outcome("v1", status)
    labels = {"protocol": "v1", "status": "200"}
    assert registry.get_sample_value("spanserve_requests_total", labels) == 2


@pytest.mark.parametrize(("agree", "word"), [(True, "yes"), (False, "no"), (None, "unknown")])
def test_the_cpu_and_that_of_the_gates(registry, agree, word):
    Metrics(registry).runs_on_cpu("avx2", "avx2 avx512f", agree)
    labels = {"instruction_sets": "avx2", "gated_on": "avx2 avx512f", "agree": word}
    assert registry.get_sample_value("spanserve_cpu_info", labels) == 1
