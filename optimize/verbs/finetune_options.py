"""The options of `finetune`; imports nothing heavy."""

from __future__ import annotations

import argparse
from pathlib import Path

from optimize.training.settings import MovementSettings, TrainingSettings
from optimize.verbs import options
from optimize.verbs.dependence import needing
from optimize.verbs.values import above_zero, between, fraction, not_negative, positive, share


def add_to(finetune: argparse.ArgumentParser) -> None:
    """What is trained, on what, and how."""
    options.checkpoint_arguments(finetune)
    finetune.add_argument("--teacher", help="checkpoint whose logits and hidden states are learnt")
    finetune.add_argument(
        "--teacher-revision", action=needing("teacher"), help="hub revision of --teacher"
    )
    options.train_data_argument(finetune, required=True)
    options.output_argument(finetune)
    _schedule(finetune)
    _loss(finetune)
    _movement(finetune)
    options.half_argument(finetune)
    _machine(finetune)


def _schedule(parser: argparse.ArgumentParser) -> None:
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


def _loss(parser: argparse.ArgumentParser) -> None:
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


def _movement(parser: argparse.ArgumentParser) -> None:
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


def _machine(parser: argparse.ArgumentParser) -> None:
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
    options.threads_argument(parser)
