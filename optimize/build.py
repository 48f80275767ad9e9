"""`build`: runs a recipe's steps, measures each, gates the last, and publishes it."""

from __future__ import annotations

import logging
import platform
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import onnxruntime

from optimize import (
    benchmark,
    charts,
    checkpoint,
    compaction,
    evaluate,
    parity,
    publish,
    squad,
    staging,
    triton,
)
from optimize.benchmark import BURN_IN_ROUNDS, Latency
from optimize.checkpoint import Checkpoint
from optimize.errors import GateFailed
from optimize.parity import Parity
from optimize.progress import Progress
from optimize.recipe import Recipe
from optimize.report import Report, StepFigures
from optimize.scratch import no_space, scratch
from optimize.squad import Example, Prediction, Scores
from optimize.steps import Step, StepBuilder
from predictor.artifact import SPEC_FILE
from predictor.cpu import available_cpus

logger = logging.getLogger("optimize")


def build(recipe: Recipe, progress: Progress) -> Path:
    """Builds, gates and publishes an artifact and its baseline, for Triton too on request.

    Returns:
        The published folder; at once where this very build is there already.

    Raises:
        SourceError: The checkpoint or the data set cannot be used.
        GateFailed: The result is worse than allowed; nothing is published.
        PublishError: The target holds another build.
        WriteError: It cannot be written.
    """
    publish.check_name(recipe.name)
    folders = {
        name: publish.target(recipe.output, name, recipe.version)
        for name in (f"{recipe.name}-baseline", recipe.name)
    }
    for folder in folders.values():
        if not (folder / SPEC_FILE).exists():
            publish.check_writable(folder)
    examples = squad.read(recipe.dataset) if recipe.dataset else []
    model = checkpoint.load(recipe.model, recipe.revision)
    baseline = model
    if recipe.baseline:
        baseline = checkpoint.load(recipe.baseline, recipe.baseline_revision)
    build_id = recipe.build_id({"model": model.sha256, "baseline": baseline.sha256})
    final = folders[recipe.name]
    for place in (recipe.output, *(folder.parent for folder in folders.values())):
        staging.sweep(place)
    if all([publish.published(folder, build_id) for folder in folders.values()]):
        logger.info("%s is published already, and whole", final)
    else:
        if recipe.triton:
            triton.check(recipe.output, recipe.name, recipe.version, build_id)
        with scratch(recipe.keep_steps) as folder:
            builder = StepBuilder(recipe, build_id, folder)
            journey = _Journey(recipe, builder, examples, progress)
            report, served = journey.run(model, baseline)
            # The artifact itself comes last: where it is, all is.
            baseline_folder, _ = folders.values()
            _publish({baseline_folder: journey.steps[0], final: served}, report)
    if recipe.triton:
        triton.publish(final, recipe.triton_instances)
    return final


def _publish(steps: Mapping[Path, Step], report: Report) -> None:
    texts = {"report.json": report.to_json(), "report.md": report.to_markdown()}
    texts |= charts.draw(report)
    with ExitStack() as stack:
        # All is written before any of it appears.
        publishers = []
        for folder, step in steps.items():
            figures = replace(report, served=step.name).figures()
            spec = step.spec.model_copy(update={"name": folder.parent.name, "figures": figures})
            prepared = publish.prepared(step.folder, spec, folder, texts)
            publishers.append(stack.enter_context(prepared))
        for appear in publishers:
            appear()


class _Journey:
    """The steps built so far, with what was measured of them."""

    def __init__(
        self,
        recipe: Recipe,
        builder: StepBuilder,
        examples: Sequence[Example],
        progress: Progress,
    ) -> None:
        self._recipe = recipe
        self._builder = builder
        self._examples = examples
        self._progress = progress
        self.steps: list[Step] = []
        self._parity: dict[str, Parity] = {}
        self._scores: dict[str, Scores] = {}
        self._predictions: dict[str, dict[str, Prediction]] = {}
        self._questions = parity.sample(examples)

    def run(self, model: Checkpoint, baseline: Checkpoint) -> tuple[Report, Step]:
        """All steps in order; returns the report and the step to serve."""
        recipe, builder = self._recipe, self._builder
        with self._progress.step("baseline"):
            first = builder.original("baseline", baseline)
            self._evaluate(first)
            self.steps.append(first)
        with self._progress.step("pruned"):
            compacted = compaction.compact(
                model.state, model.config, allow_lossy=recipe.allow_lossy
            )
            pruned = builder.pruned(model, compacted)
            original = first if model is baseline else builder.original("original", model)
            if compacted.lossy_heads:
                self._gate_loss(pruned, original)
            else:
                self._gate(pruned, before=original)
        with self._progress.step("onnx"):
            onnx = builder.onnx(pruned)
            self._gate(onnx, before=pruned)
        with self._progress.step("graph"):
            graph = builder.graph(onnx)
            self._gate(graph, before=onnx)
        served, rejected = self._reduce(graph)
        return self._report(served, rejected, self._latencies()), served

    def _reduce(self, graph: Step) -> tuple[Step, dict[str, str]]:
        """The first of the last steps that passes its gates; one of them must."""
        rejected: dict[str, str] = {}
        names = self._recipe.last_steps()
        for name in names:
            if name == "fp32":
                break
            try:
                with self._progress.step(name):
                    step = self._reduced(name, graph)
            except GateFailed as error:
                if name == names[-1]:
                    raise
                logger.warning("%s; trying the next step", error)
                rejected[name] = str(error)
            else:
                return step, rejected
        self._gate_f1(graph)
        return graph, rejected

    def _reduced(self, name: str, graph: Step) -> Step:
        """One of the last steps, measured; raises GateFailed also where it does not run at all."""
        try:
            step = self._builder.reduced(name, graph)
            self._gate(step, before=graph)
        except GateFailed:
            raise
        except Exception as error:  # whatever the converters raise, another step may do
            if no_space(error):
                raise
            logger.debug("%s", name, exc_info=True)
            raise GateFailed(f"{name}: cannot be made or does not run: {error}") from error
        self._gate_f1(step)
        return step

    def _gate(self, step: Step, before: Step) -> None:
        """Measures a step; raises GateFailed where its logits or answers are too far off."""
        found, recipe = self._measure(step, before), self._recipe
        parity.check(
            step.name,
            step.spec.precision,
            found,
            tolerance=recipe.parity_tolerance,
            min_span_agreement=recipe.min_span_agreement,
        )

    def _measure(self, step: Step, before: Step) -> Parity:
        """Accuracy and parity of a step."""
        self._evaluate(step)
        found = parity.compare(
            step.engine,
            before.engine,
            self._questions,
            predictions=(self._predictions[step.name], self._predictions[before.name])
            if before.name in self._predictions
            else None,
        )
        self._parity[step.name] = found
        self.steps.append(step)
        return found

    def _evaluate(self, step: Step) -> None:
        if not self._examples or step.name in self._scores:
            return
        with self._progress.task(f"{step.name}: evaluate", len(self._examples)) as advance:
            scores, predictions = evaluate.evaluate(step.engine, self._examples, advance)
        self._scores[step.name], self._predictions[step.name] = scores, predictions
        logger.info("%s: EM %.2f, F1 %.2f", step.name, scores.exact_match, scores.f1)

    def _gate_loss(self, pruned: Step, original: Step) -> None:
        """Measures a removal that was not exact, and gates answers and F1 in the logits' place."""
        self._evaluate(original)
        found = self._measure(pruned, before=original)
        parity.check_spans(pruned.name, found, self._recipe.min_span_agreement)
        self._gate_f1(pruned, original)

    def _gate_f1(self, step: Step, reference: Step | None = None) -> None:
        """Raises GateFailed where F1 is too far below the reference's, or the pruned step's."""
        name = reference.name if reference else "pruned"
        if scores := self._scores.get(step.name):
            parity.check_f1(step.name, scores, name, self._scores[name], self._recipe.max_f1_drop)

    def _latencies(self) -> dict[str, dict[int, Latency]]:
        recipe = self._recipe
        if recipe.target == "cuda" and "CUDAExecutionProvider" not in (
            onnxruntime.get_available_providers()
        ):
            logger.warning("latency is not measured: this machine has no CUDA provider")
            return {}
        rounds = recipe.rounds + BURN_IN_ROUNDS
        with (
            self._progress.step("latency"),
            self._progress.task("latency: rounds", rounds) as advance,
        ):
            engines = {step.name: step.engine for step in self.steps}
            return benchmark.measure(engines, recipe.sequence_lengths, recipe.rounds, advance)

    def _report(
        self, served: Step, rejected: dict[str, str], latencies: dict[str, dict[int, Latency]]
    ) -> Report:
        recipe = self._recipe
        return Report(
            name=recipe.name,
            version=recipe.version,
            build_id=served.spec.build_id,
            served=served.name,
            rejected=rejected,
            conditions={
                "date": datetime.now(UTC).date().isoformat(),
                "model": served.spec.source,
                "dataset": recipe.dataset.name if recipe.dataset else None,
                "questions": len(self._examples),
                "null_score_diff_threshold": recipe.null_score_diff_threshold,
                "target": recipe.target,
                "provider": served.engine.session.provider,
                "threads": recipe.threads or available_cpus(),
                "rounds": recipe.rounds,
                "machine": platform.machine(),
                "tools": served.spec.tools,
            },
            steps=tuple(
                StepFigures(
                    name=step.name,
                    precision=step.spec.precision,
                    size_bytes=step.model_file.stat().st_size,
                    density=step.spec.density,
                    parity=self._parity.get(step.name),
                    scores=self._scores.get(step.name),
                    latency=latencies.get(step.name, {}),
                    notes=step.notes,
                )
                for step in self.steps
            ),
        )
