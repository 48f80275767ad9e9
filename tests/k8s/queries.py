"""Every query of alerts, dashboards and scalers: its metrics and labels exist."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import promql_parser
from prometheus_client import CollectorRegistry

from predictor.metrics import Metrics
from tests.k8s.rendering import Object

# What Prometheus and the operator add to a pod's metrics.
_TARGET_LABELS = {"namespace", "pod", "container", "job", "instance"}


def metrics() -> dict[str, set[str]]:
    """Name of each of the predictor's series → its own labels."""
    registry = CollectorRegistry()
    Metrics(registry)
    # Prometheus' own, of every target, and its client's, of every process.
    result: dict[str, set[str]] = {"up": set(), "process_start_time_seconds": set()}
    for metric in registry.collect():
        # Labels are known once a child exists.
        collector = registry._names_to_collectors[metric.name]
        labels = set(collector._labelnames)
        if metric.type == "histogram":
            result |= {metric.name + suffix: labels for suffix in ("_sum", "_count")}
            result[metric.name + "_bucket"] = labels | {"le"}
        else:
            result[metric.name + "_total" * (metric.type == "counter")] = labels
    return result


def queries(objects: list[Object]) -> Iterator[tuple[str, str]]:
    """Where it stands and the query."""
    for each in objects:
        where = f"{each['kind']}/{each['metadata']['name']}"
        if each["kind"] == "PrometheusRule":
            for group in each["spec"]["groups"]:
                for rule in group["rules"]:
                    yield f"{where} {rule['alert']}", rule["expr"]
        if each["metadata"].get("labels", {}).get("grafana_dashboard"):
            for text in each["data"].values():
                yield from _of_dashboard(where, json.loads(text))
        if each["kind"] == "InferenceService":
            scaling = each["spec"]["predictor"].get("autoScaling", {})
            for metric in scaling.get("metrics", []):
                if "external" in metric:
                    yield where, metric["external"]["metric"]["query"]


def _of_dashboard(where: str, dashboard: Any) -> Iterator[tuple[str, str]]:
    for panel in dashboard["panels"]:
        for query in panel["targets"]:
            yield f"{where} {panel['title']}", query["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            # label_values(series, label) is Grafana's own.
            series, _, label = variable["query"].removeprefix("label_values(").rpartition(",")
            yield f"{where} ${variable['name']}", f"sum by ({label.strip(' )')}) ({series})"


def check(where: str, query: str, relabelled: set[str]) -> None:
    """Raises AssertionError for bad syntax, a metric or a label that is not there.

    Args:
        relabelled: The labels that a PodMonitor adds.
    """
    try:
        tree = promql_parser.parse(query.replace("$__rate_interval", "5m"))
    except ValueError as error:
        raise AssertionError(f"{where}: {error}") from error
    found = list(_selectors(tree))
    assert found, f"{where}: asks for no metric"
    known = metrics()
    everywhere = _TARGET_LABELS | relabelled
    for selector in found:
        assert selector.name in known, f"{where}: there is no metric {selector.name}"
        labels = {matcher.name for matcher in selector.matchers.matchers}
        unknown = labels - known[selector.name] - everywhere
        assert not unknown, f"{where}: {selector.name} has no label {unknown}"
    # A label that is grouped by has to be on every series below, but for joins, which name theirs.
    for labels, below in _groupings(tree):
        for selector in below:
            unknown = set(labels) - known[selector.name] - everywhere
            assert not unknown, f"{where}: {selector.name} has no label {unknown} to group by"


def relabelled(objects: list[Object]) -> set[str]:
    """The labels that PodMonitors add."""
    return {
        rule["targetLabel"]
        for each in objects
        if each["kind"] == "PodMonitor"
        for endpoint in each["spec"]["podMetricsEndpoints"]
        for rule in endpoint.get("relabelings", [])
    }


def _children(node: Any) -> Iterator[Any]:
    for field in ("expr", "lhs", "rhs", "param"):
        child = getattr(node, field, None)
        if child is not None:
            yield child
    yield from getattr(node, "args", None) or []


def _selectors(node: Any) -> Iterator[Any]:
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    elif isinstance(node, promql_parser.MatrixSelector):
        yield node.vector_selector
    else:
        for child in _children(node):
            yield from _selectors(child)


def _groupings(node: Any) -> Iterator[tuple[list[str], list[Any]]]:
    modifier = getattr(node, "modifier", None)
    labels = getattr(modifier, "labels", None)
    if labels is None:
        labels = getattr(getattr(modifier, "matching", None), "labels", None)
    if labels:
        yield list(labels), list(_selectors(node))
    for child in _children(node):
        yield from _groupings(child)
