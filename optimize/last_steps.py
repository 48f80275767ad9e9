"""The last steps of a build: makes them, compares the int8 variants, gates the one to serve."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial

from optimize import choice
from optimize.choice import Candidate, Choice
from optimize.data import unanswerable
from optimize.data.squad import Example
from optimize.errors import GateFailed, one_line
from optimize.evaluation import benchmark
from optimize.evaluation.benchmark import BURN_IN_ROUNDS
from optimize.gates import Gates
from optimize.graph import calibration, quantize
from optimize.graph.quantize import Variant
from optimize.progress import Progress
from optimize.recipe import Recipe
from optimize.steps import Step, StepBuilder, StepEngines

logger = logging.getLogger("optimize")

# A single length is measured, and what differs by little is to be told apart.
_ROUNDS_FACTOR = 3
_Make = Callable[[], Step]


@dataclass(frozen=True)
class Outcome:
    """What is served.

    Attributes:
        served: The step that passed the last gate; the graph itself for fp32.
        tried: Every step that was measured against that gate, in order, but for the graph.
        rejected: The name of each that failed it, with the reason.
        choice: How the int8 variants compare; None where nothing tells what they lose.
    """

    served: Step
    tried: list[Step]
    rejected: dict[str, str]
    choice: Choice | None


class LastSteps:
    """Makes the steps that follow the fused graph."""

    def __init__(
        self,
        recipe: Recipe,
        builder: StepBuilder,
        gates: Gates,
        train: Sequence[Example],
        progress: Progress,
    ) -> None:
        """Takes the last gates, on the data set, and the training questions, if there are any.

        Raises:
            SourceError: The training questions are too few.
        """
        self._recipe = recipe
        self._builder = builder
        self._gates = gates
        # To calibrate on, and to choose on.
        self._train: tuple[list[Example], list[Example]] | None = None
        if train and "int8" in recipe.last_steps():
            calibrate, choose = calibration.split(
                train, recipe.calibration_sample, recipe.choice_sample
            )
            if recipe.serving.null_score_diff_threshold is not None:
                choose = unanswerable.mixed(choose, train)
            self._train = calibrate, choose
        self._progress = progress

    @property
    def choice_examples(self) -> Sequence[Example]:
        """Training questions that an int8 variant is chosen on; nothing else may learn of them."""
        return self._train[1] if self._train else ()

    def run(self, pruned: Step, graph: Step) -> Outcome:
        """The best of the last steps that passes its gates; raises GateFailed where none does."""
        compared = None
        if "int8" in self._recipe.last_steps() and (self._train or self._gates.examples):
            compared = self._compare(pruned, graph)
        ways = list(self._ways(graph, compared))
        if not ways:
            raise GateFailed(_all_refused(compared))
        tried: list[Step] = []
        rejected: dict[str, str] = {}
        for name, make in ways:
            try:
                with self._progress.step(name):
                    self._gated(name, make, graph, tried)
            except GateFailed as error:
                if name == ways[-1][0]:
                    raise
                logger.warning("%s; trying the next step", error)
                rejected[name] = str(error)
            else:
                break
        served = graph if name == "fp32" else tried[-1]
        chosen = compared.choice(name, rejected, self._sample()) if compared else None
        return Outcome(served, tried, rejected, chosen)

    def _ways(self, graph: Step, compared: _Compared | None) -> Iterator[tuple[str, _Make]]:
        """Each of the last steps with what makes it, the one to try first first."""
        for name in self._recipe.last_steps():
            if name == "fp32":
                yield name, lambda: graph
            elif name == "fp16":
                yield name, partial(self._builder.fp16, graph)
            elif compared:
                for best in choice.order(compared.candidates):
                    yield best.name, partial(compared.made.__getitem__, best.name)
            else:
                for variant in (Variant(), Variant(asymmetric=True)):
                    yield variant.name, partial(self._builder.int8, variant, graph)

    def _gated(self, name: str, make: _Make, graph: Step, tried: list[Step]) -> None:
        """Makes a step and gates it; raises GateFailed."""
        with _runs(name):
            step = make()
        if step is not graph:
            try:
                with _runs(name):
                    self._gates.gate(step, graph)
            finally:
                # What does not run has no figures.
                if name in self._gates.parity:
                    tried.append(step)
        self._gates.gate_f1(step)

    def _compare(self, pruned: Step, graph: Step) -> _Compared:
        """Makes and measures the int8 variants."""
        recipe, gates, ranges = self._recipe, self._gates, None
        if self._train:
            to_calibrate, to_choose = self._train
            gates = Gates(recipe.tolerances, to_choose, self._progress)
            for step in (pruned, graph):
                gates.evaluate(step)
            with self._progress.step("calibration"):
                ranges = self._builder.ranges(graph, to_calibrate)
        waiting = quantize.variants(static=ranges is not None, fast_gelu=recipe.fast_gelu)
        made: dict[str, Step] = {}
        refused: dict[str, str] = {}
        for variant in waiting:
            name = variant.name
            try:
                with self._progress.step(f"{name} as a candidate"):
                    with _runs(name):
                        step = self._builder.int8(variant, graph, ranges)
                        gates.evaluate(step)
                    gates.gate_f1(step)
            except GateFailed as error:
                refused[name] = str(error)
                logger.info("%s", error)
                if not (variant.embeddings or variant.keep_head):
                    waiting.append(replace(variant, keep_head=True))
            if name in gates.scores:
                made[name] = step
        length = choice.at_length(recipe.measurement.sequence_lengths, graph.spec.max_seq_length)
        latencies = self._latencies([graph, *made.values()], length)

        def candidate(name: str, kept: str, step: Step | None) -> Candidate:
            size = step.model_file.stat().st_size if step else None
            p50 = latencies.get(name)
            return Candidate(name, kept, gates.scores.get(name), p50, size, refused.get(name))

        return _Compared(
            candidate("graph", "all", graph),
            [candidate(v.name, v.kept, made.get(v.name)) for v in waiting],
            made,
            length,
            len(gates.examples),
        )

    def _latencies(self, steps: Sequence[Step], length: int) -> dict[str, float]:
        """Median milliseconds at one length, all in the same rounds."""
        if not benchmark.measurable(self._recipe.target):
            return {}
        rounds = _ROUNDS_FACTOR * self._recipe.measurement.rounds
        engines = StepEngines(steps)
        with self._progress.task("choice: rounds", rounds + BURN_IN_ROUNDS) as advance:
            found = benchmark.measure(engines, (length,), rounds, advance, groups=engines.groups)
        return {name: latencies[length].p50_ms for name, latencies in found.items()}

    def _sample(self) -> str:
        recipe = self._recipe
        if recipe.train_data and self._train:
            without = sum(not example.answers for example in self._train[1])
            return (
                f"{recipe.train_data.name}, other questions than were calibrated on, {without} of "
                "them without an answer"
            )
        name = recipe.dataset.name if recipe.dataset else ""
        return f"{name}, which is the last gate's too; without training data nothing is calibrated"


@dataclass(frozen=True)
class _Compared:
    """The int8 variants, and the steps of those that run."""

    reference: Candidate
    candidates: list[Candidate]
    made: dict[str, Step]
    length: int
    questions: int

    def choice(self, served: str, rejected: dict[str, str], sample: str) -> Choice:
        return Choice(
            sample,
            self.questions,
            self.length,
            self.reference,
            tuple(self.candidates),
            choice.reason(self.candidates, served, rejected, self.length),
        )


def _all_refused(compared: _Compared | None) -> str:
    return "; ".join(c.refused for c in compared.candidates if c.refused) if compared else ""


def _runs(name: str) -> AbstractContextManager[None]:
    """Whatever converters and runtimes raise is GateFailed, for another step may do."""
    return one_line(GateFailed, f"{name}: cannot be made or does not run", known=(GateFailed,))
