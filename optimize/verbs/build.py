"""`build`: the whole journey, and its report."""

from __future__ import annotations

import argparse
import sys

from optimize.build import build as run_build
from optimize.progress import Progress
from optimize.verbs.recipes import bound_of, recipe_of


def build(arguments: argparse.Namespace) -> int:
    """Runs the whole journey and prints its report."""
    recipe = recipe_of(arguments, prune=bound_of(arguments))
    with Progress() as progress:
        folder = run_build(recipe, progress)
    sys.stdout.write((folder / "report.md").read_text(encoding="utf-8"))
    return 0
