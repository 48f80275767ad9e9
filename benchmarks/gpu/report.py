"""What was found, as JSON and as Markdown."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.checks import Check
from benchmarks.gpu.models import SYSTEMS, TORCH_FP32
from optimize.evaluation.benchmark import Latency
from optimize.recipe import tool_versions
from optimize.reporting.report import table
from predictor.sessions.cpu import available_cpus

METHOD = (
    "Latency: one batch of random tokens at a time through the session alone (host arrays in, host "
    "arrays out; no tokenizer, no HTTP). In each round every system runs once at every length, in "
    "an order shuffled anew; the first rounds are dropped. On a GPU the ONNX Runtime systems run "
    "the fused fp16 model, on a CPU the fused fp32 one; PyTorch runs eagerly with its own defaults "
    "(no TF32). With IOBinding a GPU batch is padded to its bucket: lengths to multiples of 64, "
    "rows to powers of two. Throughput: rows divided by the mean latency of that batch."
)
NOT_MEASURED = "not measured"

Latencies = dict[str, dict[int, Latency]]
"""System → tokens → latency."""


@dataclass(frozen=True)
class ModelFigures:
    """What was measured of one model.

    Attributes:
        layers: Heads and feed-forward width of each layer.
        latency: At batch 1.
        throughput: Batch size → latencies of that batch.
        warm_up_s: System → seconds until every shape was ready.
    """

    name: str
    layers: tuple[tuple[int, int], ...]
    latency: Latencies
    throughput: dict[int, Latencies]
    warm_up_s: dict[str, float]


@dataclass
class Results:
    """A whole run, filled as it goes."""

    device: str
    settings: dict[str, Any]
    date: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    checks: list[Check] = field(default_factory=list)
    models: list[ModelFigures] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Writes `results.json` and `results.md`."""
        whole = {"machine": machine(self.device), "method": METHOD, **asdict(self)}
        (folder / "results.json").write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
        lines = "\n".join(self._lines(whole["machine"])) + "\n"
        (folder / "results.md").write_text(lines, encoding="utf-8")

    def _lines(self, found: Mapping[str, str]) -> Iterator[str]:
        yield f"# ONNX Runtime on {found['device']}, {self.date[:10]}"
        yield ""
        yield from (f"- {key}: {value}" for key, value in found.items())
        yield from (f"- {key}: {value}" for key, value in self.settings.items())
        yield from ("", METHOD, "")
        if self.settings["quick"]:
            yield from ("A quick run: it proves the program, and says nothing about speed.", "")
        if self.checks:
            rows = [[c.name, _verdict(c), c.detail] for c in self.checks]
            yield from ("## Checks", "", *table(["check", "result", "found"], rows), "")
        for model in self.models:
            yield from self._model(model)

    def _model(self, model: ModelFigures) -> Iterator[str]:
        heads, widths = ([str(n) for n in column] for column in zip(*model.layers, strict=True))
        yield from (f"## {model.name}", "")
        yield f"Heads {_short(heads)}; feed-forward {_short(widths)}."
        for system, seconds in model.warm_up_s.items():
            yield f"Warm-up, {system}: {seconds:.1f} s."
        yield from ("", "### Mean at batch 1 (ms), and how many times faster than PyTorch fp32", "")
        yield from _latency(model.latency, _mean)
        yield from ("", "### p50 at batch 1 (ms)", "")
        yield from _latency(model.latency, lambda found, _: f"{found.p50_ms:.3f}")
        yield from ("", "### p99 at batch 1 (ms)", "")
        yield from _latency(model.latency, lambda found, _: f"{found.p99_ms:.3f}")
        yield from ("", "### Throughput (sequences per second)", "", *_throughput(model), "")


def machine(device: str) -> dict[str, str]:
    """The device, what drives it, and the versions that matter."""
    found = {"device": _cpu_name(), "CPUs": f"{available_cpus()} of {_cpu_name()}"}
    if device == "cuda":
        found["device"] = torch.cuda.get_device_name()
        found["CUDA of PyTorch"] = str(torch.version.cuda)
        found["cuDNN of PyTorch"] = str(torch.backends.cudnn.version())  # type: ignore[no-untyped-call]
    return found | {"Python": platform.python_version()} | tool_versions()


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _latency(latency: Latencies, show: Callable[[Latency, Latency], str]) -> list[str]:
    """A table of what `show` makes of a system's latency and of the baseline's."""
    rows = [
        [
            str(length),
            *(
                show(latency[system][length], baseline) if system in latency else NOT_MEASURED
                for system in SYSTEMS
            ),
        ]
        for length, baseline in latency[TORCH_FP32].items()
    ]
    return table(["tokens", *SYSTEMS], rows)


def _mean(found: Latency, baseline: Latency) -> str:
    ratio = baseline.mean_ms / found.mean_ms
    return f"{found.mean_ms:.3f} ± {found.std_ms:.3f} ({ratio:.2f}×)"


def _throughput(model: ModelFigures) -> list[str]:
    rows = []
    for length in next(iter(model.throughput.values()))[TORCH_FP32]:
        for batch, latency in model.throughput.items():
            cells = [
                f"{1e3 * batch / latency[system][length].mean_ms:.1f}"
                if system in latency
                else NOT_MEASURED
                for system in SYSTEMS
            ]
            rows.append([f"{length} × {batch}", *cells])
    return table(["tokens × batch", *SYSTEMS], rows)


def _verdict(check: Check) -> str:
    return NOT_MEASURED if check.passed is None else "passed" if check.passed else "**failed**"


def _short(values: list[str]) -> str:
    return f"{values[0]} in each layer" if len(set(values)) == 1 else ", ".join(values)
