"""The options that several verbs have; imports nothing heavy."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from optimize.pruning.bound import Kind
from optimize.verbs.dependence import needing
from optimize.verbs.values import (
    above_zero,
    auto_threshold,
    between,
    lengths,
    positive,
    share,
    threshold,
)

# What each option that bounds a pruned model is a bound of.
BOUND_KINDS: dict[str, Kind] = {
    "prune_to": "density",
    "prune_to_flops": "flops",
    "target_latency_ms": "latency",
}
BOUNDS = tuple(BOUND_KINDS)


def checkpoint_arguments(
    parser: argparse.ArgumentParser,
    kind: Callable[[str], float | str | None] = threshold,
) -> None:
    """What is read, and how its artifacts are to be served; `kind` is the null threshold's."""
    parser.add_argument("--model", required=True, help="hub id or folder of the checkpoint")
    parser.add_argument("--revision", help="hub revision of --model")
    parser.add_argument(
        "--target", choices=("cpu", "cuda"), default="cpu", help="where it will run"
    )
    parser.add_argument(
        "--null-threshold", dest="null_score_diff_threshold", metavar="THRESHOLD", type=kind,
        default=0.0,
        help="null_score_diff_threshold to serve with; none: there is always an answer"
        + ("; auto: the best for each step on --train-data, else on a third of --dataset"
           if kind is auto_threshold else ""),
    )  # fmt: skip
    parser.add_argument(
        "--max-seq-length", type=between(32, 512), help="default: the model's, at most 512"
    )
    parser.add_argument(
        "--doc-stride", type=between(0, 256), default=128, help="tokens windows share"
    )


def opset_argument(parser: argparse.ArgumentParser) -> None:
    """Of the exported graph."""
    parser.add_argument("--opset", type=between(14, 18), default=18, help="ONNX opset")


def strict_argument(parser: argparse.ArgumentParser, *needs: str | tuple[str, ...]) -> None:
    """Whether F1's gate refuses what may be chance; needs what it is measured on."""
    parser.add_argument(
        "--strict-gate", action=needing(*needs), nargs=0, default=False,
        help="refuse a loss of F1 over its bound also where the questions are too few to tell it "
        "from chance; default: a warning says how many would",
    )  # fmt: skip


def unfused_argument(parser: argparse.ArgumentParser) -> None:
    """Whether fusion may be incomplete."""
    parser.add_argument(
        "--allow-unfused", action="store_true", help="take a graph that does not fuse fully"
    )


def training_arguments(parser: argparse.ArgumentParser, *needs: str) -> None:
    """What int8 is calibrated on, where it is; `needs`: options without which it is not."""
    calibrated = needing("train_data")
    train_data_argument(parser, *needs)
    parser.add_argument(
        "--calibration-sample", action=calibrated, type=positive, default=100,
        help="questions to calibrate on",
    )  # fmt: skip
    parser.add_argument(
        "--calibration", action=calibrated, choices=("minmax", "entropy", "percentile"),
        default="minmax",
        help="how the range of an activation is found",
    )  # fmt: skip


def train_data_argument(
    parser: argparse.ArgumentParser, *needs: str, required: bool = False
) -> None:
    """What is learnt on; `needs`: options without which it is not."""
    parser.add_argument(
        "--train-data", action=needing(*needs), type=Path, required=required,
        help="SQuAD file of training questions, .json[.gz]",
    )  # fmt: skip


def pruning_arguments(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """To what a checkpoint is pruned, and on how many questions."""
    bound = parser.add_mutually_exclusive_group(required=required)
    on_data = needing("train_data")
    bound.add_argument(
        "--prune-to", action=on_data, type=share, metavar="DENSITY",
        help="prune until this share of the unpruned encoder's linear weights is left",
    )  # fmt: skip
    bound.add_argument(
        "--prune-to-flops", action=on_data, type=share, metavar="SHARE",
        help="prune until this share of the unpruned encoder's operations is left",
    )  # fmt: skip
    bound.add_argument(
        "--target-latency-ms", action=on_data, type=above_zero, metavar="MS",
        help="prune until a sequence takes no longer, by a table measured on this machine in fp32",
    )  # fmt: skip
    parser.add_argument(
        "--prune-length", action=needing(("prune_to_flops", "target_latency_ms")),
        type=between(8, 512), default=384,
        help="tokens of that sequence, and of the one whose operations count",
    )  # fmt: skip
    parser.add_argument(
        "--prune-sample", action=needing(BOUNDS),
        type=positive, default=500, help="questions of --train-data to prune on",
    )  # fmt: skip


def half_argument(parser: argparse.ArgumentParser) -> None:
    """How weights are stored."""
    parser.add_argument(
        "--half", action="store_true",
        help="store the weights in half precision: half the file; they are computed with in fp32",
    )  # fmt: skip


def latency_arguments(parser: argparse.ArgumentParser) -> None:
    """Where and how often latency is measured."""
    parser.add_argument(
        "--sequence-lengths", type=lengths, default="8,16,32,64,128,256,384,512",
        help="tokens at which latency is measured",
    )  # fmt: skip
    parser.add_argument("--rounds", type=positive, default=10, help="measurements of each latency")


def publish_arguments(parser: argparse.ArgumentParser) -> None:
    """Where an artifact is published, and as what."""
    parser.add_argument("--output", type=Path, required=True, help="root of published artifacts")
    parser.add_argument("--name", default="qa", help="published as <output>/<name>/<version>")
    parser.add_argument("--version", type=positive, default=1, help="a positive integer")
    parser.add_argument(
        "--triton", action="store_true", help="publish a Triton model repository too"
    )
    parser.add_argument(
        "--triton-instances", action=needing("triton"), type=positive, default=1,
        help="of each Triton model, per GPU",
    )  # fmt: skip


def threads_argument(parser: argparse.ArgumentParser) -> None:
    """Of one run."""
    parser.add_argument(
        "--threads", type=between(0, 1024), default=0, help="0: as many as there are CPUs"
    )


def output_argument(parser: argparse.ArgumentParser) -> None:
    """What a verb makes."""
    parser.add_argument(
        "--output", type=Path, required=True, help="folder to make, absent or empty"
    )


def model_dir_argument(parser: argparse.ArgumentParser) -> None:
    """What a verb takes."""
    parser.add_argument("--model-dir", type=Path, required=True, help="folder of the artifact")


def model_dirs_argument(parser: argparse.ArgumentParser) -> None:
    """What a verb takes, one or several."""
    parser.add_argument(
        "--model-dir", type=Path, required=True, nargs="+", help="folder of an artifact, or several"
    )
