"""What to build, how it is to be served, what it may lose, and how latency is measured."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from optimize.choice import at_length
from optimize.pruning.bound import Bound
from predictor import __version__
from predictor.artifact import SCHEMA_VERSION, ArtifactSpec
from predictor.sessions.providers import installed_runtimes

TOOLS = ("torch", "transformers", "optimum", "optimum-onnx", "onnx", "numpy")
_LAST_STEPS = {"fp32": ("fp32",), "fp16": ("fp16",), "int8": ("int8",)}
AUTO = "auto"
SEQUENCE_LENGTHS = (8, 16, 32, 64, 128, 256, 384, 512)


@dataclass(frozen=True)
class Serving:
    """How an artifact is to be served, as `artifact.json` says it.

    Attributes:
        null_score_diff_threshold: The served threshold; None switches the empty answer off, AUTO
            chooses it for each step.
        max_seq_length: Longest feature, None for what the model allows, at most 512.
        doc_stride: Tokens that neighbouring windows share.
        n_best_size: Spans that are candidates.
        max_answer_length: In tokens.
    """

    null_score_diff_threshold: float | str | None = 0.0
    max_seq_length: int | None = None
    doc_stride: int = 128
    n_best_size: int = 20
    max_answer_length: int = 30


@dataclass(frozen=True)
class Tolerances:
    """What the gates let a step lose.

    Attributes:
        max_f1_drop: F1 points that the artifact may lose against the pruned step.
        max_pruning_f1_drop: F1 points that pruning may lose.
        parity_tolerance: Largest logit difference of an fp32 step, relative to the largest logit.
        min_span_agreement: Share of equal answers that fp16 and int8 must keep.
        strict_gate: Whether a loss of F1 over its bound is refused where it may be chance, too.
    """

    max_f1_drop: float = 1.0
    max_pruning_f1_drop: float = 2.0
    parity_tolerance: float = 1e-4
    min_span_agreement: float = 0.85
    strict_gate: bool = False


@dataclass(frozen=True)
class Measurement:
    """How latency is measured.

    Attributes:
        sequence_lengths: In tokens.
        rounds: Measurements of each step and length.
        threads: Of whatever runs on the CPU meanwhile; 0 for as many as there are CPUs.
    """

    sequence_lengths: tuple[int, ...] = SEQUENCE_LENGTHS
    rounds: int = 10
    threads: int = 0


@dataclass(frozen=True)
class Recipe:
    """One build.

    Attributes:
        model: Hub id or folder of the checkpoint to optimize.
        revision: The hub revision of `model`, None for the default branch.
        baseline, baseline_revision: The checkpoint to compare with; None for `model` itself.
        prune: What the model may cost at most, None to remove nothing but zeros.
        prune_sample: Questions of `train_data` to prune on, none of those that `choice_sample` has.
        precision: auto, fp32, fp16 or int8.
        target: cpu or cuda.
        dataset: SQuAD v2 file for the F1 gate; None gates on parity and span agreement alone.
        train_data: SQuAD file to prune on, to calibrate int8 on and to choose its variant on; None
            chooses on `dataset` and calibrates nothing.
        choice_sample, calibration_sample: How many of its questions, none of them for both.
        calibration: How ranges are found, one of `calibration.METHODS`.
        fast_gelu: Whether each int8 variant is tried with GELU approximated by tanh, too.
        output, name, version: Published at `<output>/<name>/<version>/`.
        allow_lossy: Whether heads with a zero query or key, which still average, leave too.
        allow_unfused: Whether a graph that does not fuse fully is served.
        triton: Whether the artifact is published as a Triton model repository too.
        triton_instances: Of each Triton model, on each GPU or on the CPU.
        half: Whether PyTorch artifacts store their weights in half precision.
        keep_steps: Where to leave every step's own artifact folder, None to remove them.
        serving: How the artifact is to be served.
        tolerances: What the gates let it lose.
        measurement: How latency is measured.
    """

    model: str
    output: Path
    revision: str | None = None
    baseline: str | None = None
    baseline_revision: str | None = None
    prune: Bound | None = None
    prune_sample: int = 500
    precision: str = "auto"
    target: str = "cpu"
    dataset: Path | None = None
    train_data: Path | None = None
    choice_sample: int = 500
    calibration_sample: int = 100
    calibration: str = "minmax"
    fast_gelu: bool = False
    name: str = "qa"
    version: int = 1
    opset: int = 18
    allow_lossy: bool = False
    allow_unfused: bool = False
    triton: bool = False
    triton_instances: int = 1
    half: bool = False
    keep_steps: Path | None = None
    serving: Serving = Serving()
    tolerances: Tolerances = Tolerances()
    measurement: Measurement = Measurement()

    def last_steps(self) -> tuple[str, ...]:
        """The last steps to try, fastest first; int8 stands for all of its variants."""
        if self.precision == "auto":
            return (*_LAST_STEPS["int8" if self.target == "cpu" else "fp16"], "fp32")
        return _LAST_STEPS[self.precision]

    def build_id(self, weights: Mapping[str, str]) -> str:
        """A hash of what decides the artifact's bytes: weights, recipe and tool versions.

        What was measured while an int8 variant was chosen is no part of it, though it decides too.

        Args:
            weights: SHA-256 of each checkpoint's files.
        """
        ignored = (
            "output",
            "keep_steps",
            "model",
            "baseline",
            "baseline_revision",
            "dataset",
            "train_data",
            "measurement",
            "triton",
            "triton_instances",
        )
        recipe = {k: v for k, v in asdict(self).items() if k not in ignored}
        # Flat, for that is what the ids of published builds are of.
        recipe = recipe.pop("serving") | recipe.pop("tolerances") | recipe
        for name, path in (("dataset", self.dataset), ("train_data", self.train_data)):
            recipe[name] = _sha256(path) if path else None
        if self.prune and self.prune.kind == "latency":
            recipe["threads"] = self.measurement.threads
        if "int8" in self.last_steps():
            longest = self.serving.max_seq_length or 512
            recipe["choice_length"] = at_length(self.measurement.sequence_lengths, longest)
        identity: dict[str, Any] = {
            "weights": dict(weights),
            "recipe": recipe,
            "tools": tool_versions(),
            "schema": SCHEMA_VERSION,
        }
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def content_id(spec: ArtifactSpec) -> str:
    """A hash of what an artifact is and of its files, whatever it is called, wherever it was made.

    It is the `build_id` of artifacts that no whole build made.
    """
    ignored = {"build_id", "name", "version", "figures", "instruction_sets"}
    contents = spec.model_dump(mode="json", exclude=ignored)
    return hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()


def tool_versions() -> dict[str, str]:
    """Versions of the packages that shape an artifact."""
    tools = {name: version(name) for name in TOOLS}
    return {"spanserve": __version__} | tools | installed_runtimes()


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
