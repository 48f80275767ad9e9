"""The options that several verbs have; imports nothing heavy."""

from __future__ import annotations

import argparse
from pathlib import Path

from optimize.pruning.bound import Kind
from optimize.training.settings import MovementSettings, TrainingSettings
from optimize.verbs.dependence import needing
from optimize.verbs.values import (
    above_zero,
    between,
    fraction,
    lengths,
    not_negative,
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


def checkpoint_arguments(parser: argparse.ArgumentParser) -> None:
    """What is read, and how its artifacts are to be served."""
    parser.add_argument("--model", required=True, help="hub id or folder of the checkpoint")
    parser.add_argument("--revision", help="hub revision of --model")
    parser.add_argument(
        "--target", choices=("cpu", "cuda"), default="cpu", help="where it will run"
    )
    parser.add_argument(
        "--null-threshold", dest="null_score_diff_threshold", metavar="THRESHOLD", type=threshold,
        default=0.0,
        help="null_score_diff_threshold to serve with; none: there is always an answer",
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


def schedule_arguments(parser: argparse.ArgumentParser) -> None:
    """How long and how fast a model is trained, and on what."""
    defaults = TrainingSettings()
    parser.add_argument(
        "--epochs", type=above_zero, default=defaults.epochs, help="passes; 0.3 is a part of one"
    )
    parser.add_argument(
        "--learning-rate", type=above_zero, default=defaults.learning_rate,
        help="the largest; it rises from 0 and falls to 0",
    )  # fmt: skip
    parser.add_argument(
        "--warmup", type=fraction, default=defaults.warmup, help="share of the steps it rises for"
    )
    parser.add_argument(
        "--batch-tokens", type=positive, default=defaults.batch_tokens,
        help="most tokens of a batch, padding counted",
    )  # fmt: skip
    parser.add_argument(
        "--train-length", type=between(32, 512), default=defaults.train_length,
        help="tokens of a window in training",
    )  # fmt: skip
    parser.add_argument(
        "--unanswerable-share", type=fraction, default=defaults.unanswerable_share,
        help="of the questions, made from others where there are fewer",
    )  # fmt: skip
    parser.add_argument(
        "--swapped-share", type=fraction, default=defaults.swapped_share,
        help="of those, the ones made by swapping a name or a number, not the paragraph",
    )  # fmt: skip
    parser.add_argument(
        "--dropout", type=fraction, default=defaults.dropout,
        help="instead of the configuration's; a short training needs none, and is faster without",
    )  # fmt: skip
    parser.add_argument(
        "--train-embeddings", action="store_true",
        help="train the embeddings too; pruning takes nothing from them",
    )  # fmt: skip
    parser.add_argument("--seed", type=between(0, 2**31), default=0, help="of every draw")


def loss_arguments(parser: argparse.ArgumentParser) -> None:
    """What a model learns from its teacher."""
    defaults = TrainingSettings()
    taught = needing("teacher")
    parser.add_argument(
        "--distill-weight", action=taught, type=fraction, default=defaults.distill_weight,
        help="of the teacher's logits; the answers have the rest",
    )  # fmt: skip
    parser.add_argument(
        "--hidden-weight", action=taught, type=not_negative, default=defaults.hidden_weight,
        help="of the teacher's hidden states, beside these",
    )  # fmt: skip
    parser.add_argument(
        "--temperature", action=taught, type=above_zero, default=defaults.temperature,
        help="by which logits are divided before they are compared",
    )  # fmt: skip


def movement_arguments(parser: argparse.ArgumentParser) -> None:
    """How a model is pruned while it is trained."""
    defaults = MovementSettings()
    masked = needing("movement")
    parser.add_argument(
        "--movement", action="store_true",
        help="prune meanwhile, by hybrid block movement; the options below are for it",
    )  # fmt: skip
    parser.add_argument(
        "--regularization", action=masked, type=not_negative, default=defaults.regularization,
        help="penalty on what is kept: the more, the sparser",
    )  # fmt: skip
    parser.add_argument(
        "--final-threshold", action=masked, type=share, default=defaults.final_threshold,
        help="below which a score's sigmoid means zero, in the end",
    )  # fmt: skip
    parser.add_argument(
        "--block-size", action=masked, type=positive, default=defaults.block_size,
        help="rows and columns of attention's blocks",
    )  # fmt: skip
    parser.add_argument(
        "--mask-rate",
        action=masked,
        type=above_zero,
        default=defaults.mask_rate,
        help="learning rate of scores",
    )
    parser.add_argument(
        "--hold-start", action=masked, type=fraction, default=defaults.hold_start,
        help="share of the run before the threshold rises",
    )  # fmt: skip
    parser.add_argument(
        "--hold-end", action=masked, type=fraction, default=defaults.hold_end,
        help="share of the run after it has risen",
    )  # fmt: skip


def half_argument(parser: argparse.ArgumentParser) -> None:
    """How weights are stored."""
    parser.add_argument(
        "--half", action="store_true",
        help="store the weights in half precision: half the file; they are computed with in fp32",
    )  # fmt: skip


def machine_arguments(parser: argparse.ArgumentParser) -> None:
    """Where a model is trained, and from where it goes on."""
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: a GPU if any"
    )
    parser.add_argument(
        "--compute", choices=("auto", "fp32", "bf16"), default="auto",
        help="auto: products in bf16 where the machine has it; weights are fp32",
    )  # fmt: skip
    parser.add_argument(
        "--snapshots", type=Path, help="folder to go on from; default: <output>.snapshots"
    )
    parser.add_argument(
        "--snapshot-minutes", type=above_zero, default=5.0, help="between two snapshots"
    )
    threads_argument(parser)


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
