"""Which questions a build judges its steps on, and which ones it chooses and calibrates on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from optimize.data import squad, unanswerable
from optimize.data.squad import Example
from optimize.errors import SourceError
from optimize.graph import calibration
from optimize.recipe import AUTO, Recipe

# Of the data set, where nothing else is there to choose on.
_CHOICE_SHARE = 1 / 3


@dataclass(frozen=True)
class Questions:
    """The questions of a build, by what they are for.

    Attributes:
        judge: The figures and the last gates are of them; nothing is chosen on them, except where
            `choose` is empty.
        choose: The null thresholds and the int8 variant are chosen on them.
        calibrate: The ranges of activations are those of them.
        chosen_on: What `choose` is, in words; what stands in for it where it is empty.
    """

    judge: list[Example]
    choose: list[Example]
    calibrate: list[Example]
    chosen_on: str

    @classmethod
    def of(cls, recipe: Recipe, dataset: Sequence[Example], train: Sequence[Example]) -> Questions:
        """Deals out the questions of the data set and of the training data.

        Raises:
            SourceError: There are too few of them.
        """
        if train:
            return cls(list(dataset), *_of_training(recipe, train))
        name = recipe.dataset.name if recipe.dataset else ""
        if recipe.serving.null_score_diff_threshold == AUTO:
            choose, judge = _parted(dataset)
            said = f"a third of {name} by paragraphs, which nothing is judged on"
            return cls(judge, choose, [], said)
        said = f"{name}, which is the last gate's too; without training data nothing is calibrated"
        return cls(list(dataset), [], [], said)


def _of_training(
    recipe: Recipe, train: Sequence[Example]
) -> tuple[list[Example], list[Example], str]:
    """Training questions to choose on, others to calibrate on, and what they are in words."""
    name = recipe.train_data.name if recipe.train_data else ""
    if "int8" in recipe.last_steps():
        calibrate, choose = calibration.split(
            train, recipe.calibration_sample, recipe.choice_sample
        )
        said = f"{name}, other questions than were calibrated on"
    else:
        calibrate, choose, said = [], squad.sample(train, recipe.choice_sample), name
    if recipe.serving.null_score_diff_threshold is not None:
        choose = unanswerable.mixed(choose, train)
    without = sum(not example.answers for example in choose)
    return choose, calibrate, f"{said}, {without} of them without an answer"


def _parted(dataset: Sequence[Example], seed: int = 0) -> tuple[list[Example], list[Example]]:
    """A share of a data set by whole paragraphs, drawn at random, and the rest; in order both."""
    contexts = list(dict.fromkeys(example.context for example in dataset))
    if len(contexts) < 2:
        raise SourceError(
            "a null threshold needs questions to be chosen on: give --train-data, or a --dataset "
            "of two paragraphs or more"
        )
    count = max(1, round(_CHOICE_SHARE * len(contexts)))
    mine = set(random.Random(seed).sample(contexts, count))
    return (
        [example for example in dataset if example.context in mine],
        [example for example in dataset if example.context not in mine],
    )
