"""Measures steps on one set of questions, and gates them: parity, answers and F1."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from optimize import memory
from optimize.data.metrics import Prediction, Scores
from optimize.data.squad import Example
from optimize.evaluation import evaluate, parity
from optimize.evaluation.parity import Parity
from optimize.progress import Progress
from optimize.recipe import Tolerances
from optimize.steps import Step

logger = logging.getLogger("optimize")


class Gates:
    """What a recipe lets its steps lose, and what was measured of each step, by its name.

    Attributes:
        examples: The questions; without any, F1 is not measured, and logits and answers are
            compared on built-in ones.
        parity: Against the step before.
        scores: On the questions.
        peaks: The largest resident memory of the process so far when a step had been measured, MiB.
    """

    def __init__(
        self, tolerances: Tolerances, examples: Sequence[Example], progress: Progress
    ) -> None:
        """Measures nothing yet."""
        self.examples = examples
        self.parity: dict[str, Parity] = {}
        self.scores: dict[str, Scores] = {}
        self.peaks: dict[str, int] = {}
        self._tolerances = tolerances
        self._progress = progress
        self._predictions: dict[str, dict[str, Prediction]] = {}
        self._questions = parity.sample(examples)

    def evaluate(self, step: Step) -> None:
        """Measures accuracy, once."""
        if self.examples and step.name not in self.scores:
            with self._progress.task(f"{step.name}: evaluate", len(self.examples)) as advance:
                scores, predictions = evaluate.evaluate(step.engine, self.examples, advance)
            self.scores[step.name], self._predictions[step.name] = scores, predictions
            logger.info("%s: EM %.2f, F1 %.2f", step.name, scores.exact_match, scores.f1)
        self.peaks[step.name] = memory.peak_mib()

    def gate(self, step: Step, before: Step) -> None:
        """Measures a step; raises GateFailed where its logits or answers are too far off."""
        found = self._measure(step, before)
        parity.check(
            step.name,
            step.spec.precision,
            found,
            tolerance=self._tolerances.parity_tolerance,
            min_span_agreement=self._tolerances.min_span_agreement,
        )

    def gate_loss(self, pruned: Step, original: Step) -> None:
        """Measures a removal that was not exact, and gates answers and F1 in the logits' place."""
        self.evaluate(original)
        found = self._measure(pruned, before=original)
        parity.check_spans(pruned.name, found, self._tolerances.min_span_agreement)
        self.gate_f1(pruned, original.name)

    def gate_pruning(self, pruned: Step, original: Step) -> None:
        """Measures a pruned model, and gates F1; without questions, the built-in ones' answers."""
        self.evaluate(original)
        found = self._measure(pruned, before=original)
        if not self.examples:
            parity.check_spans(pruned.name, found, self._tolerances.min_span_agreement)
        self.gate_f1(pruned, original.name, most=self._tolerances.max_pruning_f1_drop)

    def gate_f1(self, step: Step, reference: str = "pruned", most: float | None = None) -> None:
        """Raises GateFailed where F1 is so many points, or `max_f1_drop`, below another step's."""
        if scores := self.scores.get(step.name):
            most = self._tolerances.max_f1_drop if most is None else most
            parity.check_f1(step.name, scores, reference, self.scores[reference], most)

    def _measure(self, step: Step, before: Step) -> Parity:
        """Accuracy and parity of a step."""
        self.evaluate(step)
        if step.name not in self.parity:
            self.parity[step.name] = parity.compare(
                step.engine,
                before.engine,
                self._questions,
                predictions=(self._predictions[step.name], self._predictions[before.name])
                if before.name in self._predictions
                else None,
            )
        self.peaks[step.name] = memory.peak_mib()
        return self.parity[step.name]
