"""The journey report: every step's size, accuracy, latency and parity, as JSON and Markdown."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from typing import Any

from optimize.choice import Choice
from optimize.data.metrics import Scores
from optimize.evaluation.benchmark import Latency
from optimize.evaluation.paired import Loss
from optimize.evaluation.parity import Parity

F1_CHART, LATENCY_CHART = "report-f1.svg", "report-latency.svg"


@dataclass(frozen=True)
class StepFigures:
    """What was measured of one step.

    Attributes:
        name: baseline, pruned, onnx, graph, fp16 or an int8 variant's.
        size_bytes: Of the model file.
        density: Share of the encoder's linear weights kept.
        parity: Against the step before; None where the weights are another model's.
        scores: On the data set; None without one.
        threshold: The null threshold that it is served at.
        loss: Of F1, against the step that it was gated with; None where it was not.
        warning: What the gate let pass that may be more than it allows.
        latency: By sequence length; empty where this machine cannot measure it.
        notes: Fused operators and the like.
        peak_memory_so_far_mib: Of the process that built the steps, up to this one and with it.
    """

    name: str
    precision: str
    size_bytes: int
    density: float
    parity: Parity | None
    scores: Scores | None
    latency: dict[int, Latency]
    notes: dict[str, Any]
    peak_memory_so_far_mib: int | None = None
    threshold: float | None = None
    loss: Loss | None = None
    warning: str | None = None


@dataclass(frozen=True)
class Report:
    """A whole journey.

    Attributes:
        served: The step that was published.
        rejected: Steps that a gate refused, with the reason.
        conditions: What the figures hold for: data set, provider, threads, date, versions.
        choice: How the int8 variants compared; None where they were not.
    """

    name: str
    version: int
    build_id: str
    served: str
    rejected: dict[str, str]
    conditions: dict[str, Any]
    steps: tuple[StepFigures, ...]
    choice: Choice | None = None

    def step(self, name: str) -> StepFigures:
        """The step of that name."""
        return next(step for step in self.steps if step.name == name)

    @property
    def shared_length(self) -> int | None:
        """The longest length of all steps with F1 and latency; None where there are none."""
        lengths = [set(step.latency) for step in self.steps if step.scores and step.latency]
        return max(set.intersection(*lengths), default=None) if lengths else None

    def speed_up(
        self, step: StepFigures, over: StepFigures, length: int | None = None
    ) -> float | None:
        """How many times faster a step is, None where that was not measured.

        Args:
            step, over: The steps to compare.
            length: In tokens; None for the longest at which both were measured.
        """
        shared = step.latency.keys() & over.latency.keys()
        at = max(shared, default=None) if length is None else length
        if at not in shared:
            return None
        return over.latency[at].mean_ms / step.latency[at].mean_ms

    def latency_conditions(self) -> list[str]:
        """What the latencies hold for, as far as it is known."""
        known = self.conditions
        threads, rounds = known.get("threads"), known.get("rounds")
        parts = [
            known.get("provider"),
            f"{threads} thread{'s' * (threads != 1)}" if threads else None,
            "batch 1",
            f"{rounds} rounds" if rounds else None,
        ]
        return [part for part in parts if part]

    def figures(self) -> dict[str, Any]:
        """The served step's figures, for `artifact.json`."""
        step, baseline = self.step(self.served), self.steps[0]
        return {
            "dataset": self.conditions["dataset"],
            "exact_match": step.scores.exact_match if step.scores else None,
            "f1": step.scores.f1 if step.scores else None,
            "f1_loss": asdict(step.loss) if step.loss else None,
            "baseline_f1": baseline.scores.f1 if baseline.scores else None,
            "model_bytes": step.size_bytes,
            "latency_ms": {str(n): latency.mean_ms for n, latency in step.latency.items()},
            "speed_up": self.speed_up(step, baseline),
        }

    def journey_table(self) -> str:
        """Every step's size, accuracy and latency, as a Markdown table."""
        return "\n".join(self._journey())

    def latency_table(self) -> str:
        """Mean ± std in ms of every step at every length, as a Markdown table."""
        return "\n".join(self._by_length(lambda step, _, n: _latency(step.latency.get(n))))

    def to_json(self) -> str:
        """`report.json`."""
        return json.dumps(asdict(self), indent=2, default=str) + "\n"

    def to_markdown(self, charts: Collection[str] = ()) -> str:
        """`report.md`, with links to the charts that lie beside it, given by name."""
        lines = [f"# {self.name} version {self.version}", "", *self._journey(), ""]
        if F1_CHART in charts:
            lines += [f"![F1 against latency, step by step]({F1_CHART})", ""]
        elif self.shared_length is None:
            lines += [
                "No chart of F1 against latency: they were not measured together.",
                "",
            ]
        if any(step.latency for step in self.steps):
            lines += self._latency(charts)
        else:
            lines += ["Latency was not measured: no length fits, or the target is not here.", ""]
        if self.choice:
            lines += _choice(self.choice)
        elif any(step.precision == "int8" for step in self.steps):
            lines += ["The int8 variants were not compared: there were no questions for it.", ""]
        lines += [f"- {key}: {value}" for key, value in self.conditions.items()]
        lines += [f"- not served: {name} ({reason})" for name, reason in self.rejected.items()]
        for step in self.steps:
            if step.warning:
                lines.append(f"- warning: {step.warning}")
            for key, value in step.notes.items():
                lines += _note(f"- {step.name}: {key}:", value)
        return "\n".join(lines) + "\n"

    def _journey(self) -> list[str]:
        longest = max((max(s.latency) for s in self.steps if s.latency), default=None)
        at = f"latency at {longest} (ms)" if longest else "latency"
        rows = []
        for step, before in self._with_the_step_before():
            scores = step.scores
            rows.append(
                [
                    f"**{step.name}**" if step.name == self.served else step.name,
                    f"{step.size_bytes / 1e6:.1f}",
                    f"{step.density:.2f}",
                    f"{scores.exact_match:.2f}" if scores else "not measured",
                    f"{scores.f1:.2f}" if scores else "not measured",
                    f"{scores.best_f1:.2f}" if scores else "not measured",
                    _threshold(step.threshold),
                    _loss(step.loss),
                    _latency(step.latency.get(longest)) if longest else "–",
                    _times(self.speed_up(step, self.steps[0])),
                    _times(self.speed_up(step, before)) if before else "",
                    f"{step.parity.max_logit_difference:.1e}" if step.parity else "",
                    f"{step.peak_memory_so_far_mib or '–'}",
                ]
            )
        head = ["step", "size (MB)", "density", "EM", "F1", "best F1", "threshold", "loss", at]
        head += ["× baseline", "× step before", "max Δ logit", "peak memory so far (MiB)"]
        return table(head, rows)

    def _with_the_step_before(self) -> list[tuple[StepFigures, StepFigures | None]]:
        pairs: list[tuple[StepFigures, StepFigures | None]] = []
        before = None
        for step in self.steps:
            pairs.append((step, before))
            if step.name not in self.rejected:
                before = step
        return pairs

    def _latency(self, charts: Collection[str]) -> list[str]:
        lines = ["## Latency by sequence length", ""]
        if LATENCY_CHART in charts:
            lines += [f"![Latency by sequence length, step by step]({LATENCY_CHART})", ""]
        conditions = ", ".join(self.latency_conditions())
        for caption, cell in (
            (f"Mean ± std in ms ({conditions})", lambda s, _, n: _latency(s.latency.get(n))),
            ("p50 / p99 in ms", lambda s, _, n: _percentiles(s.latency.get(n))),
            ("Times faster than the baseline / than the step before", self._speed_ups),
        ):
            lines += [f"{caption}:", "", *self._by_length(cell), ""]
        return lines

    def _by_length(self, cell: Callable[[StepFigures, StepFigures | None, int], str]) -> list[str]:
        lengths = sorted({length for step in self.steps for length in step.latency})
        pairs = self._with_the_step_before()
        rows = [[str(n), *(cell(step, before, n) for step, before in pairs)] for n in lengths]
        return table(["tokens", *(step.name for step in self.steps)], rows)

    def _speed_ups(self, step: StepFigures, before: StepFigures | None, length: int) -> str:
        over = [self.steps[0], before] if before else [self.steps[0]]
        return " / ".join(_times(self.speed_up(step, other, length)) for other in over)


def _choice(choice: Choice) -> list[str]:
    """The int8 variants side by side, and why the served one is."""
    rows = []
    for candidate in (choice.reference, *choice.candidates):
        scores, size = candidate.scores, candidate.size_bytes
        rows.append(
            [
                candidate.name,
                candidate.kept,
                f"{scores.f1:.2f} ± {scores.f1_interval:.2f}" if scores else "–",
                f"{scores.best_f1:.2f}" if scores else "–",
                f"{candidate.p50_ms:.2f}" if candidate.p50_ms else "–",
                f"{size / 1e6:.1f}" if size else "–",
                candidate.refused or ("" if candidate == choice.reference else "within the bound"),
            ]
        )
    head = ["variant", "kept fp32", "F1", "best F1", f"p50 at {choice.length} (ms)", "size (MB)"]
    return [
        "## Choice",
        "",
        f"F1 with its 95 % confidence interval on {choice.questions} questions of "
        f"{choice.sample}; latency of all in the same rounds. {choice.reason}",
        "",
        *table([*head, "verdict"], rows),
        "",
    ]


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """The lines of a Markdown table, numbers to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return ["| " + " | ".join(cells) + " |" for cells in (head, rule, *rows)]


def _note(head: str, value: Any) -> list[str]:
    """A note's lines: one for each entry that has a text."""
    if isinstance(value, dict) and all(isinstance(text, str) for text in value.values()):
        return [head, *(f"  - {key}: {text}" for key, text in value.items())]
    return [f"{head} {value}"]


def _latency(latency: Latency | None) -> str:
    return f"{latency.mean_ms:.2f} ± {latency.std_ms:.2f}" if latency else "–"


def _percentiles(latency: Latency | None) -> str:
    return f"{latency.p50_ms:.2f} / {latency.p99_ms:.2f}" if latency else "–"


def _threshold(threshold: float | None) -> str:
    return "none" if threshold is None else f"{threshold:.2f}"


def _loss(loss: Loss | None) -> str:
    """Points and their 95 % confidence interval."""
    if loss is None:
        return ""
    low, high = loss.interval
    return f"{loss.points:+.2f} ({low:+.2f} to {high:+.2f})"


def _times(factor: float | None) -> str:
    return f"{factor:.2f}" if factor else "–"
