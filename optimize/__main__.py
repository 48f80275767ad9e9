"""`python -m optimize <verb>`: the command line of the optimize image."""

from __future__ import annotations

import argparse
import logging
import math
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType


def main(argv: list[str] | None = None) -> int:
    """Runs a verb; returns the exit status: 0, or that of the error (see `errors`)."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(
        level=logging.WARNING,
        stream=sys.stderr,
        format="%(asctime)s %(name)s: %(message)s",
    )
    for name in ("optimize", "predictor"):
        logging.getLogger(name).setLevel(logging.INFO)
    signal.signal(signal.SIGTERM, _terminated)

    # Imported late, so that --help and a wrong option answer at once.
    from optimize import evaluate
    from optimize.errors import OptimizeError
    from predictor.errors import PredictorError

    try:
        if arguments.verb == "evaluate":
            return evaluate.main(arguments)
        return _build(arguments)
    except (OptimizeError, PredictorError) as error:
        sys.stderr.write(f"optimize: error: {error}\n")
        return getattr(error, "exit_status", 1)
    except KeyboardInterrupt:
        sys.stderr.write("optimize: interrupted; nothing was published\n")
        return 130


def _build(arguments: argparse.Namespace) -> int:
    from optimize.build import build
    from optimize.progress import Progress
    from optimize.recipe import Recipe

    given = {k: v for k, v in vars(arguments).items() if k not in ("verb", "null_threshold")}
    recipe = Recipe(**given, null_score_diff_threshold=arguments.null_threshold)
    with Progress() as progress:
        folder = build(recipe, progress)
    sys.stdout.write((folder / "report.md").read_text(encoding="utf-8"))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m optimize",
        description="Turn a question answering checkpoint into a verified, published artifact.",
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    _build_arguments(
        verbs.add_parser(
            "build",
            help="baseline → pruned → onnx → graph → int8 or fp16, gated and published",
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
    )
    evaluate = verbs.add_parser("evaluate", help="EM and F1 of artifacts on a SQuAD file")
    evaluate.add_argument(
        "--model-dir", type=Path, required=True, nargs="+", help="folder of an artifact, or several"
    )
    evaluate.add_argument("--dataset", type=Path, required=True, help="SQuAD file, .json[.gz]")
    evaluate.add_argument(
        "--eval-sample", type=_positive,
        help="so many questions, drawn at random, and F1's confidence interval; default: all",
    )  # fmt: skip
    evaluate.add_argument(
        "--concurrency", type=_positive, default=32,
        help="questions that wait together and share runs as they would in the server; "
        "1 for a lone client's (int8 answers depend a little on it; default: 32)",
    )  # fmt: skip
    _threads_argument(evaluate)
    return parser


def _build_arguments(build: argparse.ArgumentParser) -> None:
    build.add_argument("--model", required=True, help="hub id or folder of the checkpoint")
    build.add_argument("--revision", help="hub revision of --model")
    build.add_argument("--baseline", help="checkpoint to compare with; default: --model itself")
    build.add_argument("--baseline-revision", help="hub revision of --baseline")
    build.add_argument(
        "--allow-lossy", action="store_true",
        help="remove heads with a zero query or key too, though they still average their values; "
        "answers and F1 are gated, not logits",
    )  # fmt: skip
    build.add_argument(
        "--allow-unfused", action="store_true", help="take a graph that does not fuse fully"
    )
    build.add_argument(
        "--precision", choices=("auto", "fp32", "fp16", "int8"), default="auto",
        help="auto: the fastest for the target that passes the gates, fp32 last",
    )  # fmt: skip
    build.add_argument("--target", choices=("cpu", "cuda"), default="cpu", help="where it will run")
    build.add_argument("--dataset", type=Path, help="SQuAD v2 file for the F1 gate, .json[.gz]")
    build.add_argument("--output", type=Path, required=True, help="root of published artifacts")
    build.add_argument("--name", default="qa", help="published as <output>/<name>/<version>")
    build.add_argument("--version", type=_positive, default=1, help="a positive integer")
    build.add_argument("--opset", type=_between(14, 18), default=18, help="ONNX opset")
    build.add_argument(
        "--null-threshold", type=_threshold, default=0.0,
        help="null_score_diff_threshold to serve with; none: there is always an answer",
    )  # fmt: skip
    build.add_argument(
        "--max-seq-length", type=_between(32, 512), help="default: the model's, at most 512"
    )
    build.add_argument(
        "--doc-stride", type=_between(0, 256), default=128, help="tokens windows share"
    )
    build.add_argument(
        "--max-f1-drop", type=_finite, default=1.0, help="F1 points the artifact may lose"
    )
    build.add_argument(
        "--parity-tolerance", type=_finite, default=1e-4, help="relative logit error of fp32 steps"
    )
    build.add_argument(
        "--min-span-agreement", type=_finite, default=0.85,
        help="share of answers that fp16 and int8 must leave as they were",
    )  # fmt: skip
    build.add_argument(
        "--sequence-lengths", type=_lengths, default="8,16,32,64,128,256,384,512",
        help="tokens at which latency is measured",
    )  # fmt: skip
    build.add_argument("--rounds", type=_positive, default=10, help="measurements of each latency")
    build.add_argument(
        "--triton", action="store_true", help="publish a Triton model repository too"
    )
    build.add_argument(
        "--triton-instances", type=_positive, default=1, help="of each Triton model, per GPU"
    )
    build.add_argument(
        "--keep-steps", type=Path, help="new folder that keeps every step's own artifact"
    )
    _threads_argument(build)


def _threads_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--threads", type=_between(0, 1024), default=0, help="0: as many as there are CPUs"
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


def _lengths(text: str) -> tuple[int, ...]:
    return tuple(_positive(part.strip()) for part in text.split(","))


def _threshold(text: str) -> float | None:
    if text == "none":
        return None
    return _finite(text)


def _finite(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number")
    return number


def _between(least: int, most: int) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number {least} to {most}")
        return int(text)

    return whole_number


def _terminated(signal_number: int, _: FrameType | None) -> None:
    # Unwinds, so that the scratch folder is removed.
    raise SystemExit(128 + signal_number)


if __name__ == "__main__":
    sys.exit(main())
