"""The steps of a build alone, from a checkpoint or an artifact's folder to another's."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from optimize.data import squad
from optimize.errors import SourceError, one_line
from optimize.evaluation import parity
from optimize.graph.quantize import Variant
from optimize.progress import Progress
from optimize.publishing.verb_output import making
from optimize.recipe import Recipe
from optimize.source import checkpoint, compaction
from optimize.steps import Artifact, Step, StepBuilder
from optimize.verbs.recipes import recipe_of
from predictor.types import Question

logger = logging.getLogger("optimize")


def compact(arguments: argparse.Namespace) -> int:
    """A checkpoint → the PyTorch artifact of what is left of it."""
    recipe = recipe_of(arguments)

    def build(builder: StepBuilder, _: Progress) -> Step:
        model = checkpoint.load(recipe.model, recipe.revision)
        if arguments.keep_zeros:
            return builder.original("baseline", model)
        return builder.pruned(
            model, compaction.compact(model.state, model.config, allow_lossy=recipe.allow_lossy)
        )

    return make("compact", recipe, build)


def export(arguments: argparse.Namespace) -> int:
    """A PyTorch artifact → its ONNX graph."""
    before = _read(arguments.model_dir, "torch", "export")
    recipe = _recipe(arguments)
    return make("export", recipe, lambda builder, _: builder.onnx(before))


def fuse(arguments: argparse.Namespace) -> int:
    """An ONNX artifact → its fused graph."""
    before = _read(arguments.model_dir, "onnx", "fuse")
    recipe = _recipe(arguments)
    return make("fuse", recipe, lambda builder, _: builder.graph(before))


def quantize(arguments: argparse.Namespace) -> int:
    """An fp32 ONNX artifact → int8 or fp16."""
    before = _read(arguments.model_dir, "onnx", "quantize")
    variant = Variant(
        asymmetric=arguments.asymmetric,
        static=arguments.static,
        embeddings=arguments.quantize_embeddings,
        keep_head=arguments.keep_head,
        fast_gelu=arguments.fast_gelu,
    )
    if arguments.fp16:
        if variant != Variant():
            raise SourceError("--fp16 takes none of int8's options")
        return _fp16(arguments, before)
    train = squad.read(arguments.train_data) if variant.static else []
    recipe = _recipe(arguments)

    def build(builder: StepBuilder, _: Progress) -> Step:
        questions = squad.sample(train, arguments.calibration_sample)
        ranges = builder.ranges(before, questions) if variant.static else None
        return builder.int8(variant, before, ranges)

    return make("quantize", recipe, build)


def _fp16(arguments: argparse.Namespace, before: Artifact) -> int:
    questions = parity.QUESTIONS
    if arguments.dataset:
        questions = tuple(parity.sample(squad.read(arguments.dataset)))
    if before.spec.target != "cuda":
        logger.info("fp16 is for a GPU: the artifact's target is cuda, not %s", before.spec.target)
        before = replace(before, spec=before.spec.model_copy(update={"target": "cuda"}))
    return make("quantize", _recipe(arguments), lambda builder, _: builder.fp16(before), questions)


def _recipe(arguments: argparse.Namespace) -> Recipe:
    """Of a verb that takes an artifact's folder."""
    return recipe_of(arguments, model=str(arguments.model_dir))


def _read(folder: Path, format_: str, verb: str) -> Artifact:
    """Reads and verifies a verb's input; raises SourceError where it is of another kind."""
    artifact = Artifact.read(folder)
    found = (artifact.spec.format, artifact.spec.precision)
    if found != (format_, "fp32"):
        raise SourceError(
            f"{folder} is {' '.join(reversed(found))}; {verb} takes an fp32 {format_} artifact"
        )
    return artifact


def make(
    verb: str,
    recipe: Recipe,
    build: Callable[[StepBuilder, Progress], Step],
    questions: Sequence[Question] = parity.QUESTIONS,
) -> int:
    """Makes a step in the recipe's output; it is loaded once before it appears there.

    Args:
        verb: Its name, for the log.
        recipe: Its output, and how the artifact is to be served.
        build: Makes the step.
        questions: On which values must stay in the range of fp16.
    """
    with Progress() as progress, making(recipe.output) as scratch, progress.step(verb):
        with one_line(SourceError, f"{verb}: {recipe.model} cannot be converted"):
            step = build(StepBuilder(recipe, None, scratch, questions), progress)
            _ = step.engine
        for text, found in step.notes.items():
            logger.info("%s: %s: %s", verb, text, found)
    logger.info("made %s", recipe.output)
    return 0
