"""A verb's options → the recipe that they describe."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import Any

from optimize.pruning.bound import Bound
from optimize.recipe import Measurement, Recipe, Serving, Tolerances
from optimize.verbs.options import BOUND_KINDS


def recipe_of(arguments: argparse.Namespace, **more: Any) -> Recipe:
    """The recipe of a verb's options, and its defaults for what the verb has no option for.

    Args:
        arguments: The options, each by the name that it has in the recipe or in its values.
        more: What no option of the verb says.
    """
    return Recipe(
        **given(Recipe, arguments) | more,
        serving=Serving(**given(Serving, arguments)),
        tolerances=Tolerances(**given(Tolerances, arguments)),
        measurement=Measurement(**given(Measurement, arguments)),
    )


def given(kind: type[Any], arguments: argparse.Namespace) -> dict[str, Any]:
    """The options that a dataclass has fields for."""
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in vars(arguments).items() if name in names}


def bound_of(arguments: argparse.Namespace) -> Bound | None:
    """What a pruned model may cost, by `pruning_arguments`; None where nothing is asked for."""
    for name, kind in BOUND_KINDS.items():
        value = getattr(arguments, name)
        if value is not None:
            return Bound(kind, value, arguments.prune_length)
    return None
