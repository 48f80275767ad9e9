"""`prune`: a checkpoint → the PyTorch artifact of its smaller model."""

from __future__ import annotations

import argparse

from optimize.data import squad
from optimize.progress import Progress
from optimize.pruning import one_shot, sequences
from optimize.recipe import Recipe
from optimize.source import checkpoint
from optimize.steps import Step, StepBuilder
from optimize.verbs.making import make
from optimize.verbs.options import bound_of


def prune(arguments: argparse.Namespace) -> int:
    """Prunes on training questions; the artifact appears whole, or not at all."""
    recipe = Recipe(
        model=arguments.model,
        revision=arguments.revision,
        output=arguments.output,
        target=arguments.target,
        null_score_diff_threshold=arguments.null_threshold,
        max_seq_length=arguments.max_seq_length,
        doc_stride=arguments.doc_stride,
        prune=bound_of(arguments),
        prune_sample=arguments.prune_sample,
        threads=arguments.threads,
        half=arguments.half,
    )
    train = squad.read(arguments.train_data)
    questions = sequences.questions(
        train,
        recipe.prune_sample,
        unanswerable=recipe.null_score_diff_threshold is not None,
        seed=arguments.seed,
    )

    def build(builder: StepBuilder, progress: Progress) -> Step:
        model = checkpoint.load(recipe.model, recipe.revision)
        pruned = one_shot.prune(model, questions, recipe, progress, seed=arguments.seed)
        return builder.pruned(model, pruned.compacted, pruned.notes)

    return make("prune", recipe, build)
