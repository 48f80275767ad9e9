"""Prometheus metrics: stages, batches, the queue and outcomes, beside KServe's own on /metrics."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from predictor.types import Timings

# A short request takes a millisecond, a long one on a busy server seconds.
_SECONDS = (
    0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
)  # fmt: skip
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_TOKENS = (64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
_SHARE = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75)


class Metrics:
    """What an operator sees; every name starts with `spanserve_`."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        """Registers the metrics, once per registry."""
        stages = Histogram(
            "spanserve_stage_seconds",
            "Seconds that an answered request spent in a stage.",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._stages = [stages.labels(stage) for stage in Timings().stages()]
        self._rows = Histogram(
            "spanserve_batch_rows", "Features of a run.", buckets=_ROWS, registry=registry
        )
        self._tokens = Histogram(
            "spanserve_batch_tokens",
            "Tokens of a run, padding counted.",
            buckets=_TOKENS,
            registry=registry,
        )
        self._padding = Histogram(
            "spanserve_batch_padding_ratio",
            "Share of a run's tokens that is padding.",
            buckets=_SHARE,
            registry=registry,
        )
        self._cpu = Gauge(
            "spanserve_cpu_info",
            "1; instruction sets of this CPU and of the one that the artifact's gates ran on.",
            ["instruction_sets", "gated_on", "agree"],
            registry=registry,
        )
        self._requests = Counter(
            "spanserve_requests",
            "Requests by protocol (v1, v2-rest, v2-grpc) and status; 499: the client hung up.",
            ["protocol", "status"],
            registry=registry,
        )
        self._queue_requests = Gauge(
            "spanserve_queue_requests", "Requests that wait for a run.", registry=registry
        )
        self._queue_tokens = Gauge(
            "spanserve_queue_tokens", "Tokens that wait for a run.", registry=registry
        )
        self._in_flight = Gauge(
            "spanserve_in_flight", "Requests admitted and not yet answered.", registry=registry
        )

    def watch(
        self,
        *,
        queue_requests: Callable[[], float],
        queue_tokens: Callable[[], float],
        in_flight: Callable[[], float],
    ) -> None:
        """Says where the gauges are read whenever someone looks."""
        self._queue_requests.set_function(queue_requests)
        self._queue_tokens.set_function(queue_tokens)
        self._in_flight.set_function(in_flight)

    def runs_on_cpu(self, here: str, gated_on: str, agree: bool | None) -> None:
        """Says which instruction sets the CPU has, and which the one of the gates had, in words."""
        known = {True: "yes", False: "no", None: "unknown"}[agree]
        self._cpu.labels(here, gated_on, known).set(1)

    def answered(self, timings: Timings) -> None:
        """Notes the stages of an answered request."""
        for stage, seconds in zip(self._stages, timings.stages().values(), strict=True):
            stage.observe(seconds)

    def ran(self, rows: int, tokens: int, padding: int) -> None:
        """Notes a run of so many features, their tokens, and its padding in tokens."""
        self._rows.observe(rows)
        self._tokens.observe(tokens + padding)
        self._padding.observe(padding / (tokens + padding))

    def outcome(self, protocol: str, status: str) -> None:
        """Counts a request that ended."""
        self._requests.labels(protocol, status).inc()
