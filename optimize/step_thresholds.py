"""The null threshold of each step: the one asked for, or the best one for that very step."""

from __future__ import annotations

import logging

from optimize.evaluation import threshold
from optimize.gates import Gates
from optimize.recipe import AUTO, Recipe
from optimize.steps import Step

logger = logging.getLogger("optimize")


class Thresholds:
    """Serves steps at thresholds that nothing is judged on."""

    def __init__(self, recipe: Recipe, choosing: Gates | None) -> None:
        """Takes the build's recipe, and what measures steps on the questions to choose on."""
        automatic = recipe.serving.null_score_diff_threshold == AUTO
        self._choosing = choosing if automatic else None

    def settled(self, step: Step) -> Step:
        """The step at its own threshold; as it is where one was asked for.

        Steps that compute the same need it once: later ones have it from the step before.
        """
        if self._choosing is None:
            return step
        chosen = threshold.choose(self._choosing.examples, self._choosing.predictions(step))
        said = "none" if chosen is None else f"{chosen:.3f}"
        logger.info("%s: null threshold %s", step.name, said)
        return step.at(chosen)
