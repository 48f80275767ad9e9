"""The options of `build`; imports nothing heavy."""

from __future__ import annotations

import argparse
from pathlib import Path

from optimize.verbs import options
from optimize.verbs.dependence import needing
from optimize.verbs.values import auto_threshold, finite, positive


def add_to(build: argparse.ArgumentParser) -> None:
    """What is built, from what, and within which bounds."""
    options.checkpoint_arguments(build, auto_threshold)
    build.add_argument("--baseline", help="checkpoint to compare with; default: --model itself")
    build.add_argument(
        "--baseline-revision", action=needing("baseline"), help="hub revision of --baseline"
    )
    build.add_argument(
        "--allow-lossy", action="store_true",
        help="remove heads with a zero query or key too, though they still average their values; "
        "answers and F1 are gated, not logits",
    )  # fmt: skip
    options.pruning_arguments(build, required=False)
    build.add_argument(
        "--max-pruning-f1-drop", action=needing(options.BOUNDS, "dataset"), type=finite,
        default=2.0, help="F1 points that pruning may lose on --dataset",
    )  # fmt: skip
    options.unfused_argument(build)
    build.add_argument(
        "--precision", choices=("auto", "fp32", "fp16", "int8"), default="auto",
        help="auto: the fastest for the target that passes the gates, fp32 last",
    )  # fmt: skip
    build.add_argument("--dataset", type=Path, help="SQuAD v2 file for the F1 gate, .json[.gz]")
    options.training_arguments(build)
    build.add_argument(
        "--choice-sample", action=needing("train_data"), type=positive, default=500,
        help="questions of --train-data to choose thresholds and the int8 variant on",
    )  # fmt: skip
    build.add_argument(
        "--fast-gelu", action="store_true",
        help="try each int8 variant with GELU approximated by tanh, too",
    )  # fmt: skip
    options.publish_arguments(build)
    options.opset_argument(build)
    build.add_argument(
        "--max-f1-drop", action=needing(("dataset", "train_data")), type=finite, default=1.0,
        help="F1 points the artifact may lose",
    )  # fmt: skip
    options.strict_argument(build, ("dataset", "train_data"))
    build.add_argument(
        "--parity-tolerance", type=finite, default=1e-4, help="relative logit error of fp32 steps"
    )
    build.add_argument(
        "--min-span-agreement", type=finite, default=0.85,
        help="share of answers that fp16 and int8 must leave as they were",
    )  # fmt: skip
    options.latency_arguments(build)
    build.add_argument(
        "--keep-steps", type=Path, help="new folder that keeps every step's own artifact"
    )
    options.threads_argument(build)
