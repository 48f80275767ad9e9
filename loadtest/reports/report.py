"""The report of a test, or of several: what was measured, whether it held, and the tables."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from loadtest.reports.tables import (
    STATS,
    joint_table,
    latency_table,
    load_table,
    markdown_table,
    pair_table,
    server_table,
    stats_cells,
    target_table,
)
from loadtest.results.result import Result, TargetResult
from loadtest.results.verdict import best_step

TABLE = "latency-table"
EXPECTED_MS = 1.0
"""What the client costs at most, in the median, on an idle machine."""

_METHODS = {
    TABLE: "{requests_per_length} sequential random requests per sequence length and target, after "
    "{warmup} of warm-up{turns}.",
    "throughput": "Closed loop: each user asks again once it is answered. Users double until twice "
    "in a row less than a tenth is won, each step {step_seconds:g} s after {settle:g} s of "
    "settling; the targets take turns step by step.",
    "open-loop": "Open loop: {rate:g} arrivals per second at random (Poisson), {duration:g} s per "
    "target after {settle:g} s of settling. Latency counts from when a request was due.",
    "mixed": "Closed loop: each user asks again once it is answered, {duration:g} s per target "
    "after {settle:g} s of settling, with lengths like SQuAD's.",
    "soak": "Open loop: {rate:g} arrivals per second at random (Poisson) for {duration:g} s after "
    "{settle:g} s of settling. Latency counts from when a request was due.",
    "spike": "Open loop: {rate:g} arrivals per second at random (Poisson), {spike_factor:g} times "
    "as many for {spike_seconds:g} s between {duration:g} s before and after. Latency counts from "
    "when a request was due.",
}


def report(result: Result, chart: Path | None = None) -> str:
    """One test as Markdown."""
    method = _method(result)
    parts = [f"# Load test: {result.scenario}", f"{result.started}. {method}", verdict(result)]
    parts.append(_targets(result.targets))
    notes = [f"- {target.name}: {note}" for target in result.targets for note in target.notes]
    if notes:
        parts.append("\n".join(notes))
    if result.scenario == TABLE:
        parts += _latency(result.targets)
    else:
        parts += _load(result)
    if chart:
        parts.append(f"![{chart.stem}]({chart.name})")
    if result.overhead:
        parts += _overhead(result)
    return "\n\n".join(parts) + "\n"


def _method(result: Result) -> str:
    turns = "; the targets take turns request by request" if len(result.targets) > 1 else ""
    return _METHODS[result.scenario].format(**result.options, turns=turns)


def verdict(result: Result) -> str:
    """Whether the test passed and, if not, why; one line each."""
    lines = [*result.faults, *result.broken]
    if not lines:
        return "**Passed.**"
    return "\n".join(["**Failed:**", "", *(f"- {line}" for line in lines)])


def comparison(results: Sequence[Result], names: Sequence[str]) -> str:
    """The guide's tables of every target in several results and, for two or more, a joint one."""
    parts = []
    targets = []
    of = [(result, target) for result in results for target in result.targets]
    for (result, target), name in zip(of, names, strict=True):
        targets.append(replace(target, name=name))
        parts.append(f"## {name}")
        method = _method(result)
        parts.append(f"Model {target.model} at {target.host}, {result.started}: {method}")
        if result.failed:
            parts.append(f"**This run failed.** {[*result.faults, *result.broken][0]}")
        parts.append(target_table(target) if result.scenario == TABLE else load_table(target))
    if len(targets) > 1:
        first = "sequence length" if results[0].scenario == TABLE else "load"
        parts += ["## Side by side", joint_table(targets, first)]
    return "\n\n".join(parts) + "\n"


def summary(result: Result) -> str:
    """What the terminal shows at the end."""
    parts = []
    for target in result.targets:
        if target.rows:
            table = latency_table(target) if result.scenario == TABLE else load_table(target)
            parts += [target.name, table]
    measured = [target for target in result.targets if target.rows]
    if len(measured) > 1 and result.scenario == TABLE:
        parts.append(joint_table(measured))
    parts += [line for line in _best_lines(result) if result.scenario == "throughput"]
    parts.append(verdict(result).replace("**", ""))
    return "\n\n".join(parts)


def _targets(targets: Sequence[TargetResult]) -> str:
    rows = [
        [
            target.name,
            target.protocol,
            target.model,
            target.host,
            str(target.requests),
            ", ".join(f"{count} {name}" for name, count in target.outcomes.items()) or "none",
        ]
        for target in targets
    ]
    return markdown_table(["target", "protocol", "model", "host", "requests", "failures"], rows)


def _latency(targets: Sequence[TargetResult]) -> list[str]:
    measured = [target for target in targets if target.rows]
    parts = []
    for target in measured:
        parts += [f"## {target.name}", target_table(target)]
    if len(measured) > 1:
        baseline, *others = measured
        parts.append(f"## Speed-up over {baseline.name}")
        for other in others:
            parts += [f"### {other.name}", pair_table(baseline, other)]
        if len(others) > 1:
            parts += ["### Side by side", joint_table(measured)]
    for target in measured:
        parts += [f"## {target.name} in detail", "At the client:", latency_table(target)]
        server = server_table(target)
        if server:
            parts += ["In the server, as it says in Server-Timing:", server]
    return parts


def _load(result: Result) -> list[str]:
    parts = []
    for target in result.targets:
        if not target.rows:
            continue
        parts += [f"## {target.name}", load_table(target)]
        server = server_table(target, "load")
        if server:
            parts += ["In the server, as it says in Server-Timing:", server]
    if result.scenario == "throughput":
        parts += ["## Capacity", *_best_lines(result)]
    return parts


def _best_lines(result: Result) -> list[str]:
    lines = []
    max_p99 = float(result.options["max_p99"])
    bound = f" with a p99 of at most {max_p99:g} ms" if max_p99 else ""
    for target in result.targets:
        best = best_step(target, max_p99)
        if best and best.client:
            lines.append(
                f"{target.name}: {best.rate:.2f} answers/s at most{bound}, by {best.name} "
                f"(p50 {best.client.p50:.2f} ms, p99 {best.client.p99:.2f} ms)."
            )
    return lines


def _overhead(result: Result) -> list[str]:
    rows = [[protocol, *stats_cells(stats)] for protocol, stats in result.overhead.items()]
    slow = [name for name, stats in result.overhead.items() if stats.p50 >= EXPECTED_MS]
    parts = [
        "## What the client itself costs",
        "One user's latency against a local server that answers at once: the client, the loopback "
        "and that server's own time, which are in every latency above.",
        markdown_table(["protocol", *STATS], rows),
    ]
    if slow:
        parts.append(
            f"Over {' and '.join(slow)} its median is not below {EXPECTED_MS:g} ms, as it is on an "
            "idle machine: something else took the client's CPU, and is in the latencies too."
        )
    return parts
