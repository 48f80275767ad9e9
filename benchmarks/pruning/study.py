"""Pruned models of several densities beside their dense parent: found, made to graphs, measured.

Every model is exported and fused to ONNX fp32 and answers through the engine that serves. Its
threshold is the one that gives the best F1 on some articles, which then play no part in any figure.
Latencies are of all models in the same rounds.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.articles import Questions
from benchmarks.errors import BenchmarkError
from benchmarks.output import say
from demo.building import BASELINE, PRUNED
from optimize.data import metrics
from optimize.data.metrics import Scores
from optimize.evaluation import benchmark, evaluate, parity
from optimize.evaluation.benchmark import BURN_IN_ROUNDS, Latency
from optimize.progress import Progress
from optimize.recipe import Measurement, Recipe
from optimize.source import checkpoint
from optimize.steps import StepBuilder
from predictor.artifact import MODEL_FILES, SPEC_FILE, TOKENIZER_FILE, load_spec

DENSE, SHIPPED = "dense", "shipped"
WAYS = {"one-shot": (0.75, 0.7, 0.5, 0.35, 0.25), "recovered": (0.75, 0.5, 0.35, 0.25)}
LENGTH = 384


@dataclass(frozen=True)
class Model:
    """A model to measure.

    Attributes:
        way: How it was made: `dense`, one of `WAYS`, or `shipped`.
        name: The way, with the density that was asked for.
        folder: A checkpoint, or a PyTorch artifact.
    """

    way: str
    name: str
    folder: Path


@dataclass(frozen=True)
class Accuracy:
    """Of one model on the articles that no threshold was chosen on.

    Attributes:
        threshold: The best one on the threshold articles.
        chosen: At that one; has the best F1, too.
    """

    threshold: float
    chosen: Scores


@dataclass(frozen=True)
class Figures:
    """What was measured of one model.

    Attributes:
        density: Share of the encoder's linear weights left, counted in the weights.
        size_bytes: Of the ONNX file.
        latency: At `LENGTH` tokens.
    """

    way: str
    name: str
    density: float
    size_bytes: int
    accuracy: Accuracy
    latency: Latency


def found(study: Path) -> tuple[list[Model], list[str]]:
    """The models of a study between the dense and the shipped one, and the names of absent ones.

    Args:
        study: Holds a folder `<way>/<density>` for each model.

    Raises:
        BenchmarkError: It holds none.
    """
    wanted = [
        Model(way, f"{way} {density:g}", study / way / f"{density:g}")
        for way, densities in WAYS.items()
        for density in densities
    ]
    there = [model for model in wanted if model.folder.is_dir()]
    if not there:
        raise BenchmarkError(f"{study}: has no folder one-shot/0.75 or the like")
    absent = [model.name for model in wanted if model not in there]
    models = [Model(DENSE, DENSE, BASELINE), *there, Model(SHIPPED, SHIPPED, PRUNED)]
    return models, absent


def measure(
    models: Sequence[Model], questions: Questions, rounds: int, threads: int, scratch: Path
) -> list[Figures]:
    """Makes every model's graph and measures it.

    Args:
        models: What to measure.
        questions: What they answer.
        rounds: Latency measurements of each model.
        threads: How many they run with; 0 for all CPUs.
        scratch: An empty folder.

    Raises:
        OptimizeError: A model cannot be read or converted, or its graph gives other logits.
        ArtifactError: A model's files are not those that its artifact.json lists.
        BenchmarkError: Models tokenize differently.
    """
    graphs = {model.name: _graph(model, threads, scratch) for model in models}
    specs = {name: load_spec(folder) for name, folder in graphs.items()}
    tokenizers = {
        (spec.inputs, spec.max_seq_length, spec.files[TOKENIZER_FILE].sha256)
        for spec in specs.values()
    }
    if len(tokenizers) > 1:
        raise BenchmarkError("the models tokenize differently: nothing can be compared")
    with Progress() as progress:
        accuracies = {
            name: _accuracy(name, folder, questions, threads, progress)
            for name, folder in graphs.items()
        }
        engines = {name: evaluate.load(folder, threads) for name, folder in graphs.items()}
        with progress.task("latency: rounds", rounds + BURN_IN_ROUNDS) as advance:
            latencies = benchmark.measure(engines, (LENGTH,), rounds, advance)
    return [
        Figures(
            way=model.way,
            name=model.name,
            density=specs[model.name].density,
            size_bytes=specs[model.name].files[MODEL_FILES["onnx"]].size,
            accuracy=accuracies[model.name],
            latency=latencies[model.name][LENGTH],
        )
        for model in models
    ]


def _graph(model: Model, threads: int, scratch: Path) -> Path:
    """The folder of a model's fused fp32 graph."""
    say(f"{model.name}: {model.folder}")
    if (model.folder / SPEC_FILE).is_file():
        load_spec(model.folder)
    own = scratch / model.name
    own.mkdir()
    recipe = Recipe(
        model=str(model.folder),
        output=own,
        measurement=Measurement(threads=threads),
    )
    builder = StepBuilder(recipe, None, own)
    weights = builder.original("torch", checkpoint.load(recipe.model))
    onnx = builder.onnx(weights)
    graph = builder.graph(onnx)
    agreement = parity.compare(graph.engine, weights.engine, parity.QUESTIONS)
    parity.check_logits(model.name, agreement, recipe.tolerances.parity_tolerance)
    # Of so many models the graphs alone take a gigabyte.
    for step in (weights, onnx):
        shutil.rmtree(step.folder)
    return graph.folder


def _accuracy(
    name: str, folder: Path, questions: Questions, threads: int, progress: Progress
) -> Accuracy:
    engine = evaluate.load(folder, threads)
    asked = [*questions.threshold, *questions.measured]
    with progress.task(f"{name}: evaluate", len(asked)) as advance:
        predictions = evaluate.predict(engine, asked, advance)
    threshold = metrics.score(questions.threshold, predictions, None).best_f1_threshold
    chosen = metrics.score(questions.measured, predictions, threshold)
    say(f"{name}: F1 {chosen.f1:.2f} at a threshold of {threshold:.2f}")
    return Accuracy(threshold, chosen)


def dense_of(figures: Sequence[Figures]) -> Figures:
    """The dense model's figures."""
    return next(one for one in figures if one.way == DENSE)


def lines_of(figures: Sequence[Figures]) -> Mapping[str, Sequence[Figures]]:
    """By way, the figures from the dense model to the sparsest one of that way."""
    dense = dense_of(figures)
    ways = {
        way: sorted((f for f in figures if f.way == way), key=lambda one: -one.density)
        for way in WAYS
    }
    return {way: [dense, *some] for way, some in ways.items() if some}
