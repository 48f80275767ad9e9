"""`prune`: a checkpoint → the PyTorch artifact of its smaller model."""

from __future__ import annotations

import argparse

from optimize.data import squad
from optimize.progress import Progress
from optimize.pruning import one_shot, sequences
from optimize.source import checkpoint
from optimize.steps import Step, StepBuilder
from optimize.verbs.converting import make
from optimize.verbs.recipes import bound_of, recipe_of


def prune(arguments: argparse.Namespace) -> int:
    """Prunes on training questions; the artifact appears whole, or not at all."""
    recipe = recipe_of(arguments, prune=bound_of(arguments))
    train = squad.read(arguments.train_data)
    questions = sequences.questions(
        train,
        recipe.prune_sample,
        unanswerable=recipe.serving.null_score_diff_threshold is not None,
        seed=arguments.seed,
    )

    def build(builder: StepBuilder, progress: Progress) -> Step:
        model = checkpoint.load(recipe.model, recipe.revision)
        pruned = one_shot.prune(model, questions, recipe, progress, seed=arguments.seed)
        return builder.pruned(model, pruned.compacted, pruned.notes)

    return make("prune", recipe, build)
