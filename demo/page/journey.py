"""What each step of the optimization changed, drawn from the models' own reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from demo.page import charts
from demo.page.charts import Line
from demo.page.describing import Description
from demo.page.highlight import shown

READING = '<p class="hint empty">Reading the reports …</p>'
NO_REPORT = (
    '<p class="hint empty">None of the models that answer now has a report. '
    "<code>python -m optimize build</code> writes one beside each artifact.</p>"
)
_INTRODUCTION = (
    '<p class="lead">Every step is measured on the same questions and, in turns, on the same '
    "machine: how well it answers (F1) and how long one sequence takes.</p>"
)
_MEANINGS = {
    "baseline": "the dense checkpoint in PyTorch, as it was trained",
    "pruned": "without the heads and neurons that matter least, in PyTorch still",
    "onnx": "the pruned model as an ONNX graph, run by ONNX Runtime",
    "graph": "its operators fused: one attention for each layer",
    "fp16": "weights and arithmetic in half precision",
    "int8": "weights and arithmetic in 8 bits",
}


@dataclass(frozen=True)
class Step:
    """A step of a report; latencies in ms by tokens, F1 in percent."""

    name: str
    megabytes: float
    density: float
    f1: float | None
    latency: dict[int, float]
    served: bool
    rejected: bool

    @property
    def meaning(self) -> str:
        """What the step is, in a few words."""
        family = next((name for name in _MEANINGS if self.name.split("-")[0] == name), "")
        said = _MEANINGS.get(family, "")
        if "embeddings" in self.name:
            said += ", the embeddings' too"
        return said


def page(descriptions: Sequence[Description | None]) -> str:
    """The journeys of all models as HTML, each build's once."""
    builds: dict[str, dict[str, Any]] = {}
    for description in descriptions:
        if description and description.report:
            builds.setdefault(description.build_id, description.report)
    sections = [_section(report) for report in builds.values()]
    return _INTRODUCTION + "".join(sections) if sections else NO_REPORT


def _section(report: dict[str, Any]) -> str:
    name = shown(str(report.get("name", "")))
    try:
        steps = _steps(report)
        conditions = report["conditions"]
        asked = {key: conditions.get(key) for key in ("questions", "dataset", "threads", "date")}
    except (KeyError, TypeError, ValueError, AttributeError):
        return f'<p class="problem">The report of {name} cannot be read by this page.</p>'
    heading = f"{name} version {shown(str(report.get('version', '')))}"
    return (
        f'<section class="journey" aria-label="{heading}"><h2>{heading}</h2>{_legend(steps)}'
        f'<div class="charts">{_accuracy(steps)}{_latencies(steps)}</div>'
        f"{_table(steps)}{_conditions(asked)}</section>"
    )


def _steps(report: dict[str, Any]) -> list[Step]:
    """Its steps, at least one; raises an error of the built-in kinds where they are not there."""
    steps = [
        Step(
            name=str(step["name"]),
            megabytes=step["size_bytes"] / 1e6,
            density=float(step["density"]),
            f1=float(step["scores"]["f1"]) if step["scores"] else None,
            latency={int(n): float(each["mean_ms"]) for n, each in step["latency"].items()},
            served=step["name"] == report["served"],
            rejected=step["name"] in report["rejected"],
        )
        for step in report["steps"]
    ]
    if not steps:
        raise ValueError("a report of no step")
    return steps


def _legend(steps: Sequence[Step]) -> str:
    entries = (
        f"<li>{charts.symbol(number)}{shown(step.name)}</li>" for number, step in enumerate(steps)
    )
    return f'<ul class="legend">{"".join(entries)}</ul>'


def _shared(steps: Sequence[Step]) -> int | None:
    """The longest length at which all steps that have latencies have one."""
    lengths = [set(step.latency) for step in steps if step.latency]
    return max(set.intersection(*lengths), default=None) if lengths else None


def _accuracy(steps: Sequence[Step]) -> str:
    length = _shared(steps)
    lines = [
        Line(step.name, number, [(step.latency[length], step.f1)])
        for number, step in enumerate(steps)
        if length is not None and length in step.latency and step.f1 is not None
    ]
    title = f"F1 against latency, {length} tokens"
    if not lines:
        return _figure(
            "F1 against latency", '<p class="hint">They were not measured together.</p>', ""
        )
    points = [point for line in lines for point in line.points]
    across = charts.linear("ms for one sequence", [x for x, _ in points], zero=True)
    up = charts.linear("F1", [y for _, y in points], zero=False, least=4.0)
    drawn = charts.chart(title, across, up, lines, joined=False)
    return _figure(title, drawn, "Up is better, left is faster.")


def _latencies(steps: Sequence[Step]) -> str:
    title = "Latency against length"
    lines = [
        Line(step.name, number, sorted(step.latency.items()))
        for number, step in enumerate(steps)
        if step.latency
    ]
    if not lines:
        return _figure(title, '<p class="hint">It was not measured on this machine.</p>', "")
    points = [point for line in lines for point in line.points]
    across = charts.logarithmic("tokens", [x for x, _ in points])
    up = charts.linear("ms", [y for _, y in points], zero=True)
    drawn = charts.chart(title, across, up, lines, joined=True)
    return _figure(title, drawn, "Milliseconds for one sequence; lower is faster.")


def _figure(title: str, drawn: str, caption: str) -> str:
    return (
        f"<figure><figcaption><b>{shown(title)}</b> <span>{caption}</span></figcaption>"
        f"{drawn}</figure>"
    )


def _table(steps: Sequence[Step]) -> str:
    length = _shared(steps)
    head = ["F1", f"{length} tokens" if length else "latency", "speed-up", "size", "density"]
    rows = [_row(number, step, steps[0], length, head) for number, step in enumerate(steps)]
    names = "".join(f"<th>{name}</th>" for name in head)
    return (
        '<div class="wide" tabindex="0" role="region" aria-label="figures of every step">'
        f"<table><thead><tr><th>step</th>{names}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _row(number: int, step: Step, first: Step, length: int | None, head: Sequence[str]) -> str:
    spent = step.latency.get(length) if length is not None else None
    base = first.latency.get(length) if length is not None else None
    tag = '<span class="tag">served</span>' if step.served else ""
    tag += '<span class="tag no">failed its gate</span>' if step.rejected else ""
    cells = [
        f"{step.f1:.1f}" if step.f1 is not None else "–",
        f"{spent:.1f} ms" if spent else "–",
        f"{base / spent:.1f} ×" if spent and base else "–",
        f"{step.megabytes:.1f} MB",
        f"{step.density:.2f}",
    ]
    name = (
        f'<th scope="row"><div>{charts.symbol(number)}<span><b>{shown(step.name)}</b>{tag}'
        f"<small>{step.meaning}</small></span></div></th>"
    )
    row = (f'<td data-name="{n}">{cell}</td>' for n, cell in zip(head, cells, strict=True))
    return f"<tr>{name}{''.join(row)}</tr>"


def _conditions(known: dict[str, Any]) -> str:
    said = []
    if known["questions"]:
        said.append(f"F1 on the {known['questions']} questions of {known['dataset']}")
    if known["threads"]:
        said.append(f"latency with {known['threads']} threads, batch 1")
    if known["date"]:
        said.append(f"measured on {known['date']}")
    return f'<p class="conditions">{shown("; ".join(said))}.</p>' if said else ""
