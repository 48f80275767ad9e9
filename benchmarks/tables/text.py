"""What `make tables` writes: a page with the guide's tables, and their summary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from loadtest.local.deployments import BASELINE, IO_BINDING, OPTIMIZED, TRITON
from loadtest.reports.tables import (
    STATS,
    joint_table,
    markdown_table,
    pair_table,
    stats_cells,
    target_table,
)
from loadtest.results.result import Result, TargetResult
from predictor.sessions.cpu import available_cpus

# Of each of the guide's: what it measured by this name.
_GUIDE = {
    BASELINE: "the baseline",
    OPTIMIZED: "the optimized model, without IOBinding",
    TRITON: "the optimized model in Triton",
    IO_BINDING: "the optimized model, with IOBinding",
}


@dataclass(frozen=True)
class Measured:
    """One run.

    Attributes:
        result: Its figures, the baseline first.
        left_out: Deployments that were not measured → why.
        name: The model's, "" for the embedded one.
        command: What measures the same again.
        model: Where the optimized model came from.
        baseline: Where the baseline came from.
        machine: The machine in one line.
        load: How many processes wanted its CPUs just before.
    """

    result: Result
    left_out: Mapping[str, str]
    name: str
    command: str
    model: str
    baseline: str
    machine: str
    load: float

    def target(self, name: str) -> TargetResult | None:
        """A deployment's figures; Triton's name has its backend behind it."""
        named = (t for t in self.result.targets if t.name.partition(" (")[0] == name)
        return next(named, None)

    @property
    def peers(self) -> list[TargetResult]:
        """Those that are not our own."""
        own = [self.target(name) for name in _GUIDE]
        return [target for target in self.result.targets if target not in own]


def page(measured: Measured, chart: str) -> str:
    """The page, as Markdown; `chart` is the chart's file beside it, "" for none."""
    baseline = measured.result.targets[0]
    found = [(measured.target(name), text) for name, text in _GUIDE.items()]
    own = [(target, text) for target, text in found if target]
    parts = [f"# Latency by sequence length: {measured.name or 'the embedded model'}"]
    parts += [conditions(measured), _method(measured)]
    parts += _shown(chart)
    parts += ["## The guide's tables"]
    for target, text in own:
        parts += [f"**{target.name}**: {text}.", target_table(target)]
    parts += [f"## Speed-up over {baseline.name}"]
    for target, _ in own:
        if target is not baseline:
            parts += [pair_table(baseline, target)]
    if measured.peers:
        others = [target for target in measured.peers if target is not baseline]
        best = measured.target(IO_BINDING)
        last = [best] if best and best is not baseline else []
        parts += ["## What else one could run"]
        parts += [joint_table([baseline, *others, *last])]
    parts += ["## What is what", _notes(measured)]
    parts += ["## What the client itself costs", _overhead(measured.result)]
    return "\n\n".join(parts) + "\n"


def summary(measured: Measured, chart: str, link: str) -> str:
    """What docs/benchmarks.md says between its markers, as Markdown; `chart` as in `page`."""
    baseline, *others = measured.result.targets
    names = [row.name for row in baseline.rows]
    rows = []
    for name in names:
        reference = _mean(baseline, name)
        cells = [name.removesuffix(" tokens"), _ms(reference)]
        cells += [_against(reference, _mean(target, name)) for target in others]
        rows.append(cells)
    head = ["tokens", f"{baseline.name}, ms", *(f"{target.name}, ms" for target in others)]
    parts = [
        conditions(measured),
        markdown_table(head, rows),
        f"Mean latencies at the client; in brackets the speed-up over {baseline.name}. "
        f"[All tables, deviations, versions and method]({link}).",
    ]
    parts += [f"Left out, {name}: {reason}." for name, reason in measured.left_out.items()]
    parts += _shown(chart)
    return "\n\n".join(parts)


def _shown(chart: str) -> list[str]:
    return [f"![Mean latency by sequence length]({chart})"] if chart else []


def conditions(measured: Measured) -> str:
    """When, where and of what, in a line or two."""
    threads = available_cpus()
    return (
        f"Measured on {measured.result.started[:10]}: {measured.machine}; {threads} "
        f"thread{'s' * (threads != 1)}, load {measured.load:.1f} before. "
        f"`{measured.model}`, baseline `{measured.baseline}`."
    )


def _method(measured: Measured) -> str:
    options = measured.result.options
    return (
        f"`{measured.command}`: every deployment is a process, or two, on the machine of the load "
        "test, all of them up at the same time and asked in turns in an order shuffled anew. "
        f"{options['requests_per_length']} sequential random requests per sequence length and "
        f"deployment after {options['warmup']} of warm-up, {options['pause'] * 1e3:g} ms between "
        "an answer and the next request. Every text has exactly that many tokens, special tokens "
        "included. Latency is measured at the client, over HTTP on loopback."
    )


def _notes(measured: Measured) -> str:
    lines = [
        f"- {target.name}: {note}" for target in measured.result.targets for note in target.notes
    ]
    lines += [f"- {name} is left out: {why}" for name, why in measured.left_out.items()]
    return "\n".join(lines)


def _overhead(result: Result) -> str:
    rows = [[protocol, *stats_cells(stats)] for protocol, stats in result.overhead.items()]
    text = (
        "One user's latency against a local server that answers at once, which is in every figure "
        "above."
    )
    return f"{text}\n\n{markdown_table(['protocol', *STATS], rows)}"


def _mean(target: TargetResult, name: str) -> float | None:
    row = target.row(name)
    return row.client.mean if row and row.client else None


def _ms(mean: float | None) -> str:
    return "–" if mean is None else f"{mean:.2f}"


def _against(reference: float | None, mean: float | None) -> str:
    return _ms(mean) if reference is None or not mean else f"{mean:.2f} ({reference / mean:.1f} ×)"
