"""The check of PromQL: a query that asks for what is not there fails."""

import pytest

from tests.k8s import queries
from tests.k8s.rendering import K8S, render


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("sum(rate(spanserve_request_total[5m]))", "no metric spanserve_request_total"),
        ("sum(rate(spanserve_requests[5m]))", "no metric spanserve_requests"),
        ('spanserve_requests_total{code="500"}', "has no label {'code'}"),
        ("sum by (le) (rate(spanserve_stage_seconds_sum[5m]))", "has no label {'le'}"),
        ("sum by (stage) (spanserve_in_flight)", "has no label {'stage'}"),
        ("spanserve_in_flight and on (stage) spanserve_queue_tokens", "has no label {'stage'}"),
        ("sum(spanserve_in_flight", "unclosed"),
        ("rate(spanserve_in_flight)", "expected type"),
        ("1 + 1", "asks for no metric"),
        ('spanserve_in_flight{inference_service="qa"}', "has no label {'inference_service'}"),
    ],
)
def test_a_query_that_asks_for_what_is_not_there(query, says):
    with pytest.raises(AssertionError, match=says):
        queries.check("here", query, set())


def test_every_place_of_a_query_is_looked_at():
    objects = render(K8S / "tests" / "cpu-queue-scaled")
    places = {where.split()[0] for where, _ in queries.queries(objects)}
    assert places == {
        "PrometheusRule/spanserve",
        "ConfigMap/spanserve-dashboard",
        "InferenceService/qa",
    }
