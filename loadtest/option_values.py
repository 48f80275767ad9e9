"""What the values of options may be: parsers for argparse, which say what is wrong."""

import argparse
import math
from typing import Any


def name(text: str) -> str:
    """A model's name."""
    if not text.strip():
        raise argparse.ArgumentTypeError("the model needs a name")
    return text.strip()


def one_of(names: tuple[str, ...]) -> Any:
    """A parser of these names."""

    def parse(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(names)}")
        return text

    return parse


def lengths(text: str) -> str:
    """Sequence lengths with commas between, each once; maybe none."""
    found: list[int] = []
    for part in text.split(",") if text.strip() else []:
        length = at_least(1)(part)
        if length in found:
            raise argparse.ArgumentTypeError(f"{length} is there twice")
        found.append(length)
    return ",".join(map(str, found))


def at_least(minimum: int) -> Any:
    """A parser of whole numbers from a minimum on."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text.strip()!r} is not a whole number") from None
        if number < minimum:
            raise argparse.ArgumentTypeError(f"at least {minimum}, not {number}")
        return number

    return parse


def positive(text: str) -> float:
    """A number above 0."""
    number = not_negative(text)
    if number == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def not_negative(text: str) -> float:
    """A number from 0 on."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 on")
    return number


def share(text: str) -> float:
    """A share from 0 to 1."""
    number = not_negative(text)
    if number > 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0 to 1")
    return number
