"""Options reach the recipe, and those that are not given leave its defaults."""

from pathlib import Path

from optimize.pruning.bound import Bound
from optimize.recipe import Measurement, Recipe, Serving, Tolerances
from optimize.verbs.parser import parser
from optimize.verbs.recipes import bound_of, recipe_of


def recipe(*options):
    arguments = parser().parse_args(options)
    return recipe_of(arguments, prune=bound_of(arguments))


def test_without_options_a_build_is_the_default_recipe():
    assert recipe("build", "--model", "m", "--output", "o") == Recipe("m", Path("o"))


def test_options_reach_the_values_that_they_are_of():
    found = recipe(
        "build", "--model", "m", "--output", "o", "--null-threshold", "none", "--doc-stride", "9",
        "--min-span-agreement", "0.7", "--train-data", "t", "--max-f1-drop", "3", "--threads", "1",
        "--sequence-lengths", "8,64", "--prune-to", "0.5", "--precision", "int8",
    )  # fmt: skip
    assert found == Recipe(
        model="m",
        output=Path("o"),
        prune=Bound("density", 0.5),
        precision="int8",
        train_data=Path("t"),
        serving=Serving(null_score_diff_threshold=None, doc_stride=9),
        tolerances=Tolerances(max_f1_drop=3.0, min_span_agreement=0.7),
        measurement=Measurement(sequence_lengths=(8, 64), threads=1),
    )
