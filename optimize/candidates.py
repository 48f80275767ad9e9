"""The int8 variants of a build: made, measured side by side, and relaxed where none will do."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

from optimize import choice
from optimize.choice import Candidate, Choice
from optimize.errors import GateFailed, one_line
from optimize.evaluation import benchmark
from optimize.evaluation.benchmark import BURN_IN_ROUNDS
from optimize.gates import Gates
from optimize.graph import quantize
from optimize.graph.calibration import Ranges
from optimize.graph.quantize import Variant
from optimize.progress import Progress
from optimize.questions import Questions
from optimize.recipe import Recipe
from optimize.step_thresholds import Thresholds
from optimize.steps import Step, StepBuilder, StepEngines

logger = logging.getLogger("optimize")

# A single length is measured, and what differs by little is to be told apart.
_ROUNDS_FACTOR = 3
# Questions that tell which products int8 costs most, and the share of them that may stay fp32.
_SENSITIVITY_SAMPLE = 16
_MOST_KEPT_SHARE = 4


class Candidates:
    """The variants, as they were measured on the questions to choose on."""

    def __init__(
        self,
        recipe: Recipe,
        builder: StepBuilder,
        gates: Gates,
        thresholds: Thresholds,
        questions: Questions,
        progress: Progress,
    ) -> None:
        """Makes none yet.

        Args:
            recipe: The build's.
            builder: Makes the steps.
            gates: What the variants are held to, on the questions to choose on.
            thresholds: At which each is served.
            questions: Among them those to calibrate on.
            progress: Told of each variant.
        """
        self._recipe = recipe
        self._builder = builder
        self._gates = gates
        self._thresholds = thresholds
        self._questions = questions
        self._progress = progress
        self._made: dict[str, Step] = {}
        self._candidates: list[Candidate] = []
        self._graph: Candidate | None = None
        self._length = 0

    def compare(self, pruned: Step, graph: Step) -> None:
        """Makes and measures the variants, all in the same rounds of latency."""
        lengths = self._recipe.measurement.sequence_lengths
        self._length = choice.at_length(lengths, graph.spec.max_seq_length)
        for step in (pruned, graph):
            self._gates.evaluate(step)
        ranges = None
        if self._questions.calibrate:
            with self._progress.step("calibration"):
                ranges = self._builder.ranges(graph, self._questions.calibrate)
        fast_gelu = self._recipe.fast_gelu
        variants = quantize.variants(static=ranges is not None, fast_gelu=fast_gelu)
        refused: dict[str, str] = {}
        for variant in variants:
            try:
                with self._progress.step(f"{variant.name} as a candidate"):
                    self._make(variant, graph, ranges)
            except GateFailed as error:
                refused[variant.name] = str(error)
                logger.info("%s", error)
        latencies = self._latencies([graph, *self._made.values()])
        self._graph = self._candidate("graph", "all", graph, latencies.get("graph"))
        for variant in variants:
            name = variant.name
            found = self._candidate(name, variant.kept, self._made.get(name), latencies.get(name))
            self._candidates.append(replace(found, refused=refused.get(name)))

    def best_first(self) -> list[Step]:
        """The whole variants within the bounds."""
        return [self._made[found.name] for found in choice.order(self._candidates)]

    def relaxed(self, graph: Step) -> Iterator[Variant]:
        """The plain variant with the products in fp32 that cost most, one more each time."""
        sample = (self._questions.calibrate or self._gates.examples)[:_SENSITIVITY_SAMPLE]
        products = self._builder.costliest(graph, sample)
        for count in range(1, max(1, len(products) // _MOST_KEPT_SHARE) + 1):
            yield Variant(keep=tuple(sorted(products[:count])))

    def make_relaxed(self, variant: Variant, graph: Step) -> Step:
        """Makes and measures such a variant; raises GateFailed where it is out of bounds."""
        refused = None
        try:
            return self._make(variant, graph, None)
        except GateFailed as error:
            refused = str(error)
            raise
        finally:
            step = self._made.get(variant.name)
            found = self._candidate(variant.name, variant.kept, step, None)
            self._candidates.append(replace(found, refused=refused, relaxed=True))

    def refusals(self) -> list[str]:
        """Why each of those that were refused was."""
        return [found.refused for found in self._candidates if found.refused]

    def choice(self, served: str, rejected: dict[str, str]) -> Choice | None:
        """What was compared, and why the served step is it; None where nothing was.

        Args:
            served: The step's name.
            rejected: Those that failed the last gates, with the reason.
        """
        if self._graph is None:
            return None
        return Choice(
            self._questions.chosen_on,
            len(self._gates.examples),
            self._length,
            self._graph,
            tuple(self._candidates),
            choice.reason(self._candidates, served, rejected, self._length),
        )

    def _make(self, variant: Variant, graph: Step, ranges: Ranges | None) -> Step:
        """Makes a variant and measures it, the cheapest bound first; raises GateFailed.

        One that runs is remembered also where it is refused for its F1.
        """
        with runs(variant.name):
            step = self._builder.int8(variant, graph, ranges)
            self._gates.screen(step, graph)
        step = self._thresholds.settled(step)
        self._gates.evaluate(step)
        self._made[variant.name] = step
        self._gates.gate_f1(step)
        return step

    def _candidate(
        self, name: str, kept: str, step: Step | None, p50_ms: float | None
    ) -> Candidate:
        size = step.model_file.stat().st_size if step else None
        return Candidate(name, kept, self._gates.scores.get(name), p50_ms, size)

    def _latencies(self, steps: Sequence[Step]) -> dict[str, float]:
        """Median milliseconds at one length, all in the same rounds."""
        if not benchmark.measurable(self._recipe.target):
            return {}
        rounds = _ROUNDS_FACTOR * self._recipe.measurement.rounds
        engines, length = StepEngines(steps), self._length
        with self._progress.task("choice: rounds", rounds + BURN_IN_ROUNDS) as advance:
            found = benchmark.measure(engines, (length,), rounds, advance, groups=engines.groups)
        return {name: latencies[length].p50_ms for name, latencies in found.items()}


def runs(name: str) -> AbstractContextManager[None]:
    """Whatever converters and runtimes raise is GateFailed, for another step may do."""
    return one_line(GateFailed, f"{name}: cannot be made or does not run", known=(GateFailed,))
