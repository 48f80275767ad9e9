"""Types of option values and the options that several verbs have; imports nothing heavy."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path


class Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of examples, and adds defaults that say something."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, False) or "default" in (action.help or ""):
            return action.help
        return super()._get_help_string(action)


def positive(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


def lengths(text: str) -> tuple[int, ...]:
    """Positive whole numbers between commas."""
    return tuple(positive(part.strip()) for part in text.split(","))


def threshold(text: str) -> float | None:
    """A finite number, or `none`."""
    if text == "none":
        return None
    return finite(text)


def finite(text: str) -> float:
    """A number that is neither infinite nor none."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number")
    return number


def between(least: int, most: int) -> Callable[[str], int]:
    """A whole number within bounds, both included."""

    def whole_number(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number {least} to {most}")
        return int(text)

    return whole_number


def checkpoint_arguments(parser: argparse.ArgumentParser) -> None:
    """What is read, and how its artifacts are to be served."""
    parser.add_argument("--model", required=True, help="hub id or folder of the checkpoint")
    parser.add_argument("--revision", help="hub revision of --model")
    parser.add_argument(
        "--target", choices=("cpu", "cuda"), default="cpu", help="where it will run"
    )
    parser.add_argument(
        "--null-threshold", type=threshold, default=0.0,
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


def training_arguments(parser: argparse.ArgumentParser) -> None:
    """What int8 is calibrated on."""
    parser.add_argument(
        "--train-data", type=Path, help="SQuAD file of training questions for int8, .json[.gz]"
    )
    parser.add_argument(
        "--calibration-sample", type=positive, default=100, help="questions to calibrate on"
    )
    parser.add_argument(
        "--calibration", choices=("minmax", "entropy", "percentile"), default="minmax",
        help="how the range of an activation is found",
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
        "--triton-instances", type=positive, default=1, help="of each Triton model, per GPU"
    )


def threads_argument(parser: argparse.ArgumentParser) -> None:
    """Of one run."""
    parser.add_argument(
        "--threads", type=between(0, 1024), default=0, help="0: as many as there are CPUs"
    )
