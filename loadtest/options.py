"""The load test's own command-line options, added to Locust's."""

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtest.prompts import SHORTEST

DEFAULT_LENGTHS = "8,16,32,64,128,256,384,512"


@dataclass(frozen=True)
class Options:
    """What to measure; lengths in tokens, `request_timeout` in seconds."""

    model_name: str
    lengths: tuple[int, ...]
    requests_per_length: int
    warmup: int
    seed: int
    target_name: str | None
    results: Path | None
    request_timeout: float


def add_options(parser: Any) -> None:
    """Add the options to Locust's parser, each with its LOADTEST_ environment variable."""
    group = parser.add_argument_group("Latency table options")

    def add(flag: str, **settings: Any) -> None:
        variable = "LOADTEST_" + flag.removeprefix("--").replace("-", "_").upper()
        group.add_argument(flag, env_var=variable, **settings)

    add(
        "--model-name",
        type=_model_name,
        default="qa",
        metavar="<name>",
        help="Model to ask. Defaults to qa.",
    )
    add(
        "--lengths",
        type=_lengths,
        default=DEFAULT_LENGTHS,
        metavar="<n,n,...>",
        help="Sequence lengths in tokens, special tokens included, in the order to measure them. "
        f"Defaults to {DEFAULT_LENGTHS}.",
    )
    add(
        "--requests-per-length",
        type=_at_least(1),
        default=50,
        metavar="<n>",
        help="Measured requests per sequence length. Defaults to 50.",
    )
    add(
        "--warmup",
        type=_at_least(0),
        default=3,
        metavar="<n>",
        help="Requests sent before the measured ones of each sequence length, in no figure. "
        "Defaults to 3.",
    )
    add(
        "--seed",
        type=int,
        default=0,
        metavar="<n>",
        help="Seed of the random texts: the same options and seed send the same texts. "
        "Defaults to 0.",
    )
    add(
        "--target-name",
        metavar="<name>",
        help="The target's name in the tables. Defaults to the host.",
    )
    add(
        "--results",
        metavar="<file.json>",
        help="Write the result to this JSON file, for python -m loadtest table.",
    )
    add(
        "--request-timeout",
        type=_seconds,
        default=30.0,
        metavar="<seconds>",
        help="A request without a whole answer after this time ends the test. Defaults to 30.",
    )


def options_from(namespace: argparse.Namespace) -> Options:
    """The options out of Locust's parsed command line."""
    return Options(
        model_name=namespace.model_name,
        lengths=namespace.lengths,
        requests_per_length=namespace.requests_per_length,
        warmup=namespace.warmup,
        seed=namespace.seed,
        target_name=namespace.target_name or None,
        results=Path(namespace.results) if namespace.results else None,
        request_timeout=namespace.request_timeout,
    )


def _model_name(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("the model needs a name")
    return text.strip()


def _lengths(text: str) -> tuple[int, ...]:
    lengths: list[int] = []
    for part in text.split(","):
        length = _whole_number(part)
        if length < SHORTEST:
            raise argparse.ArgumentTypeError(
                f"{length} is too short: [CLS], two [SEP] and a word each for question and context"
                f" are {SHORTEST} tokens"
            )
        if length in lengths:
            raise argparse.ArgumentTypeError(f"{length} is there twice")
        lengths.append(length)
    return tuple(lengths)


def _at_least(minimum: int) -> Any:
    def parse(text: str) -> int:
        number = _whole_number(text)
        if number < minimum:
            raise argparse.ArgumentTypeError(f"at least {minimum}, not {number}")
        return number

    return parse


def _whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text.strip()!r} is not a whole number") from None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time in seconds above 0")
    return seconds
