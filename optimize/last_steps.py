"""The last steps of a build: one after the other, the best one first, until one passes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from optimize.candidates import Candidates, runs
from optimize.choice import Choice
from optimize.errors import GateFailed
from optimize.gates import Gates
from optimize.graph.quantize import Variant
from optimize.progress import Progress
from optimize.recipe import Recipe
from optimize.step_thresholds import Thresholds
from optimize.steps import Step, StepBuilder

logger = logging.getLogger("optimize")

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
        thresholds: Thresholds,
        candidates: Candidates | None,
        progress: Progress,
    ) -> None:
        """Takes what makes the steps and what they are held to.

        Args:
            recipe: The build's.
            builder: Makes the steps.
            gates: The last ones, on the questions that are judged.
            thresholds: At which each step is served.
            candidates: Compares int8 variants; None where there are no questions for it.
            progress: Told of each step.
        """
        self._recipe = recipe
        self._builder = builder
        self._gates = gates
        self._thresholds = thresholds
        self._candidates = candidates if "int8" in recipe.last_steps() else None
        self._progress = progress

    def run(self, pruned: Step, graph: Step) -> Outcome:
        """The best of the last steps that passes its gates; raises GateFailed where none does."""
        if self._candidates:
            self._candidates.compare(pruned, graph)
        tried: list[Step] = []
        rejected: dict[str, str] = {}
        for name, make in self._ways(graph):
            try:
                with self._progress.step(name):
                    self._gated(name, make, graph, tried)
            except GateFailed as error:
                logger.warning("%s", error)
                rejected[name] = str(error)
            else:
                served = graph if name == "fp32" else tried[-1]
                chosen = self._candidates.choice(name, rejected) if self._candidates else None
                return Outcome(served, tried, rejected, chosen)
        refused = self._candidates.refusals() if self._candidates else []
        raise GateFailed("; ".join(dict.fromkeys([*refused, *rejected.values()])))

    def _ways(self, graph: Step) -> Iterator[tuple[str, _Make]]:
        """Each of the last steps with what makes it, the one to try first first."""
        for name in self._recipe.last_steps():
            if name == "fp32":
                yield name, lambda: graph
            elif name == "fp16":
                yield name, lambda: self._thresholds.settled(self._builder.fp16(graph))
            elif candidates := self._candidates:
                for step in candidates.best_first():
                    yield step.name, partial(_same, step)
                for variant in candidates.relaxed(graph):
                    yield variant.name, partial(candidates.make_relaxed, variant, graph)
            else:
                for variant in (Variant(), Variant(asymmetric=True)):
                    yield variant.name, partial(self._builder.int8, variant, graph)

    def _gated(self, name: str, make: _Make, graph: Step, tried: list[Step]) -> None:
        """Makes a step and gates it; raises GateFailed."""
        with runs(name):
            step = make()
        if step is not graph:
            try:
                with runs(name):
                    self._gates.gate(step, graph)
            finally:
                # What does not run has no figures.
                if name in self._gates.parity:
                    tried.append(step)
        self._gates.gate_f1(step)


def _same(step: Step) -> Step:
    return step
