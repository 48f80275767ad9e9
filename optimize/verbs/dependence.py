"""Options that mean something only beside other ones, and are refused without them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

_NOTED = "given_dependent_options"


class Dependent(argparse.Action):
    """An option as any other, but for what it needs; see `needing`."""

    needs: tuple[str | tuple[str, ...], ...] = ()

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Stores the value, or True for a flag, and notes that the option was given."""
        setattr(namespace, self.dest, True if self.nargs == 0 else values)
        setattr(namespace, _NOTED, [*getattr(namespace, _NOTED, []), self])


class VerbParser(argparse.ArgumentParser):
    """Refuses an option that was given without what it needs, whatever their order."""

    def parse_known_args(  # type: ignore[override]  # two overloads there
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As argparse's, of which a whole command line's parser calls that of the verb."""
        found, rest = super().parse_known_args(args, namespace)
        for option in vars(found).pop(_NOTED, []):
            if problem := _unmet(option, found):
                self.error(problem)
        return found, rest


def needing(*needs: str | tuple[str, ...]) -> type[Dependent]:
    """An action for an option, or with nargs=0 a flag, that needs others.

    Args:
        needs: Names in the namespace, each of an option that must be given too; of those in a
            tuple, one.
    """
    return type("Needing", (Dependent,), {"needs": needs})


def _unmet(option: Dependent, found: argparse.Namespace) -> str | None:
    for need in option.needs:
        names = (need,) if isinstance(need, str) else need
        values = [getattr(found, name) for name in names]
        if all(value is None or value is False for value in values):
            flags = " or ".join("--" + name.replace("_", "-") for name in names)
            return f"{option.option_strings[0]} needs {flags}"
    return None
