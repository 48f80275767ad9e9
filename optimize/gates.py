"""Measures steps on one set of questions, and gates them: parity, answers and F1."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence

from optimize import memory
from optimize.data import metrics
from optimize.data.metrics import Prediction, Scores
from optimize.data.squad import Example
from optimize.evaluation import evaluate, paired, parity
from optimize.evaluation.paired import Loss
from optimize.evaluation.parity import Parity
from optimize.progress import Progress
from optimize.recipe import Tolerances
from optimize.steps import Step

logger = logging.getLogger("optimize")

# Questions that show whether a variant is worth asking the others; whole batches of them.
_SCREEN = 3 * evaluate.CONCURRENCY


class Gates:
    """What a recipe lets its steps lose, and what was measured of each step, by its name.

    Attributes:
        examples: The questions; without any, F1 is not measured, and logits and answers are
            compared on built-in ones.
        parity: Against the step before.
        scores: On the questions, at the step's own null threshold.
        losses: Of F1, against the step that it was gated with.
        warnings: What a gate let pass that may be more than it allows.
        peaks: The largest resident memory of the process so far when a step had been measured, MiB.
    """

    def __init__(
        self, tolerances: Tolerances, examples: Sequence[Example], progress: Progress
    ) -> None:
        """Measures nothing yet."""
        self.examples = examples
        self.parity: dict[str, Parity] = {}
        self.scores: dict[str, Scores] = {}
        self.losses: dict[str, Loss] = {}
        self.warnings: dict[str, str] = {}
        self.peaks: dict[str, int] = {}
        self._tolerances = tolerances
        self._progress = progress
        self._predictions: dict[str, dict[str, Prediction]] = {}
        self._f1: dict[str, list[float]] = {}
        self._questions = parity.sample(examples)

    def predictions(self, step: Step) -> Mapping[str, Prediction]:
        """What a step answers, whatever its threshold; asked once."""
        return self._ask(step, self.examples)

    def evaluate(self, step: Step) -> None:
        """Measures accuracy, once."""
        if self.examples and step.name not in self.scores:
            threshold = step.spec.null_score_diff_threshold
            predictions = self.predictions(step)
            scores = metrics.score(self.examples, predictions, threshold)
            self.scores[step.name] = scores
            self._f1[step.name] = metrics.f1_of_each(self.examples, predictions, threshold)
            logger.info("%s: EM %.2f, F1 %.2f", step.name, scores.exact_match, scores.f1)
        self.peaks[step.name] = memory.peak_mib()

    def screen(self, step: Step, reference: Step) -> None:
        """Raises GateFailed where too few answers are the reference's, early where that shows."""
        for count in (_SCREEN, len(self.examples)):
            asked = self.examples[:count]
            ours, theirs = self._ask(step, asked), self.predictions(reference)
            same = sum(ours[e.id].best == theirs[e.id].best for e in asked) / len(asked)
            bound = least = self._tolerances.min_span_agreement
            if count < len(self.examples):  # what a few say may be chance
                bound -= 1.96 * math.sqrt(least * (1 - least) / count)
            parity.check_agreement(step.name, same, bound)

    def _ask(self, step: Step, examples: Sequence[Example]) -> Mapping[str, Prediction]:
        """Predictions of these questions, and of others that were asked before."""
        known = self._predictions.setdefault(step.name, {})
        missing = [example for example in examples if example.id not in known]
        if missing:
            with self._progress.task(f"{step.name}: evaluate", len(missing)) as advance:
                known |= evaluate.predict(step.engine, missing, advance)
        return known

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
        """Gates F1 against another step's, question by question; see paired.check.

        Args:
            step: What is gated, each of the two at its own null threshold.
            reference: The other step's name.
            most: F1 points that may be lost; None for the recipe's `max_f1_drop`.

        Raises:
            GateFailed: More is lost, and not by chance.
        """
        if step.name not in self._f1:
            return
        allowed = self._tolerances
        found = paired.loss(self._f1[step.name], self._f1[reference])
        self.losses[step.name] = found
        most = allowed.max_f1_drop if most is None else most
        if said := paired.check(step.name, found, reference, most=most, strict=allowed.strict_gate):
            logger.warning("%s", said)
            self.warnings[step.name] = said

    def _measure(self, step: Step, before: Step) -> Parity:
        """Accuracy and parity of a step."""
        self.evaluate(step)
        if step.name not in self.parity:
            self.parity[step.name] = parity.compare(
                step.engine,
                before.engine,
                self._questions,
                predictions=(self.predictions(step), self.predictions(before))
                if self.examples
                else None,
            )
        self.peaks[step.name] = memory.peak_mib()
        return self.parity[step.name]
