"""Types of option values, and how options are shown; imports nothing heavy."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable


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


def auto_threshold(text: str) -> float | str | None:
    """A finite number, `none` or `auto`."""
    return text if text == "auto" else threshold(text)


def finite(text: str) -> float:
    """A number that is neither infinite nor none."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number")
    return number


def share(text: str) -> float:
    """A number above 0, at most 1."""
    number = finite(text)
    if not 0 < number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share above 0, at most 1")
    return number


def fraction(text: str) -> float:
    """A number from 0 to 1."""
    number = finite(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 1")
    return number


def not_negative(text: str) -> float:
    """A finite number from 0."""
    number = finite(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is below 0")
    return number


def above_zero(text: str) -> float:
    """A finite number above 0."""
    number = finite(text)
    if not number > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0")
    return number


def between(least: int, most: int) -> Callable[[str], int]:
    """A whole number within bounds, both included."""

    def whole_number(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number {least} to {most}")
        return int(text)

    return whole_number
