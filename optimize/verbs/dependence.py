"""Options that mean something only beside another one, and are refused without it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any


def needing(*others: str) -> type[argparse.Action]:
    """An action that stores a value as usual, and notes that one of some options must be given.

    Args:
        others: The names of those options in the namespace.
    """

    class Needing(argparse.Action):
        def __call__(
            self,
            parser: argparse.ArgumentParser,
            namespace: argparse.Namespace,
            values: str | Sequence[Any] | None,
            option_string: str | None = None,
        ) -> None:
            setattr(namespace, self.dest, values)
            noted = getattr(namespace, "needing", ())
            namespace.needing = (*noted, (self.option_strings[0], others))

    return Needing


def unmet(arguments: argparse.Namespace) -> str | None:
    """What is wrong with the first option that was given without what it needs; None: nothing."""
    for option, others in getattr(arguments, "needing", ()):
        if all(getattr(arguments, other) in (None, False) for other in others):
            names = " or ".join("--" + other.replace("_", "-") for other in others)
            return f"{option} needs {names}"
    return None
