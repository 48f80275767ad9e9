"""`build`: runs a recipe's steps, measures each, gates the last, and publishes it."""

from __future__ import annotations

import logging
import platform
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from optimize import memory
from optimize.candidates import Candidates
from optimize.data import squad
from optimize.data.squad import Example
from optimize.errors import SourceError, one_line
from optimize.evaluation import benchmark, parity
from optimize.evaluation.benchmark import BURN_IN_ROUNDS, Latency
from optimize.gates import Gates
from optimize.last_steps import LastSteps, Outcome
from optimize.progress import Progress
from optimize.pruning import one_shot, sequences
from optimize.pruning.one_shot import Pruned
from optimize.publishing import publish, staging, triton
from optimize.publishing.scratch import scratch
from optimize.questions import Questions
from optimize.recipe import AUTO, Recipe
from optimize.reporting import charts
from optimize.reporting.report import Report, StepFigures
from optimize.source import checkpoint
from optimize.source.checkpoint import Checkpoint
from optimize.step_thresholds import Thresholds
from optimize.steps import Step, StepBuilder, StepEngines
from predictor.artifact import SPEC_FILE, write_spec
from predictor.sessions.cpu import available_cpus

logger = logging.getLogger("optimize")


def build(recipe: Recipe, progress: Progress) -> Path:
    """Builds, gates and publishes an artifact and its baseline, for Triton too on request.

    Returns:
        The published folder; at once where this very build is there already.

    Raises:
        SourceError: The checkpoint, the data set or the training data cannot be used.
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
    train = squad.read(recipe.train_data) if recipe.train_data else []
    if recipe.prune and not train:
        raise SourceError(f"{recipe.prune}: pruning needs --train-data")
    auto = recipe.serving.null_score_diff_threshold == AUTO
    if auto and not (examples or train):
        raise SourceError("--null-threshold auto needs --train-data or --dataset")
    if "int8" not in recipe.last_steps() and (
        recipe.fast_gelu or (train and not (recipe.prune or auto))
    ):
        raise SourceError("--train-data and --fast-gelu are for int8, which is not asked for")
    if shared := squad.shared(examples, train):
        raise SourceError(
            f"--train-data holds {shared} of the questions of --dataset, which is the last gate"
        )
    questions = Questions.of(recipe, examples, train)
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
            builder = StepBuilder(recipe, build_id, folder, parity.sample(questions.judge))
            journey = _Journey(recipe, builder, questions, train, progress)
            report, served = journey.run(model, baseline)
            # The artifact itself comes last: where it is, all is.
            baseline_folder, _ = folders.values()
            _publish({baseline_folder: journey.steps[0], final: served}, report)
            if recipe.keep_steps:
                for step in journey.steps:
                    figures = replace(report, served=step.name).figures()
                    write_spec(step.folder, step.spec.model_copy(update={"figures": figures}))
    if recipe.triton:
        triton.publish(final, recipe.triton_instances)
    return final


def _publish(steps: Mapping[Path, Step], report: Report) -> None:
    drawn = charts.draw(report)
    texts = {"report.json": report.to_json(), "report.md": report.to_markdown(drawn), **drawn}
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
        questions: Questions,
        train: Sequence[Example],
        progress: Progress,
    ) -> None:
        self._recipe = recipe
        self._builder = builder
        self._questions = questions
        self._progress = progress
        self._gates = Gates(recipe.tolerances, questions.judge, progress)
        choosing = None
        if questions.choose:
            choosing = Gates(recipe.tolerances, questions.choose, progress)
        self._thresholds = Thresholds(recipe, choosing)
        candidates = None
        if questions.choose or questions.judge:
            candidates = Candidates(
                recipe, builder, choosing or self._gates, self._thresholds, questions, progress
            )
        self._last_steps = LastSteps(
            recipe, builder, self._gates, self._thresholds, candidates, progress
        )
        self._pruning_questions = sequences.questions(
            train,
            recipe.prune_sample,
            unanswerable=recipe.serving.null_score_diff_threshold is not None,
            others=questions.choose,
        )
        self.steps: list[Step] = []

    def run(self, model: Checkpoint, baseline: Checkpoint) -> tuple[Report, Step]:
        """All steps in order; returns the report and the step to serve."""
        builder = self._builder
        with self._progress.step("baseline"):
            first = self._thresholds.settled(builder.original("baseline", baseline))
            self._gates.evaluate(first)
            self.steps.append(first)
        with self._progress.step("pruned"):
            smaller = self._pruned(model)
            pruned = builder.pruned(model, smaller.compacted, smaller.notes)
            pruned = self._thresholds.settled(pruned)
            original = first
            if model is not baseline:
                original = self._thresholds.settled(builder.original("original", model))
            lossy, chosen = bool(smaller.compacted.lossy_heads), smaller.chosen
            # All is on disk now, and the next steps need the memory.
            del smaller
            model.state.clear()
            baseline.state.clear()
            self.steps.append(pruned)
            if chosen:
                self._gates.gate_pruning(pruned, original)
            elif lossy:
                self._gates.gate_loss(pruned, original)
            else:
                self._gates.gate(pruned, before=original)
        with self._progress.step("onnx"):
            onnx = builder.onnx(pruned)
            self.steps.append(onnx)
            self._gates.gate(onnx, before=pruned)
        with self._progress.step("graph"):
            graph = builder.graph(onnx)
            self.steps.append(graph)
            self._gates.gate(graph, before=onnx)
        last = self._last_steps.run(pruned, graph)
        self.steps += last.tried
        return self._report(last, self._latencies()), last.served

    def _pruned(self, model: Checkpoint) -> Pruned:
        """What pruning leaves of the model; whatever fails is the model's fault, or the disk's."""
        with one_line(SourceError, f"{model.source} cannot be pruned"):
            return one_shot.prune(model, self._pruning_questions, self._recipe, self._progress)

    def _latencies(self) -> dict[str, dict[int, Latency]]:
        measurement = self._recipe.measurement
        if not benchmark.measurable(self._recipe.target):
            logger.warning("latency is not measured: this machine has no CUDA provider")
            return {}
        rounds = measurement.rounds + BURN_IN_ROUNDS
        with (
            self._progress.step("latency"),
            self._progress.task("latency: rounds", rounds) as advance,
        ):
            engines = StepEngines(self.steps)
            return benchmark.measure(
                engines,
                measurement.sequence_lengths,
                measurement.rounds,
                advance,
                groups=engines.groups,
            )

    def _threshold(self) -> float | str | None:
        """How the steps' null thresholds came about."""
        asked = self._recipe.serving.null_score_diff_threshold
        return f"{AUTO}, on {self._questions.chosen_on}" if asked == AUTO else asked

    def _in_memory(self) -> str:
        """How latency was measured: with all steps loaded, or with some at a time."""
        groups = StepEngines(self.steps).groups([step.name for step in self.steps])
        return "all at once" if len(groups) == 1 else "in groups, drawn anew in each round"

    def _report(self, last: Outcome, latencies: dict[str, dict[int, Latency]]) -> Report:
        recipe, served, gates = self._recipe, last.served, self._gates
        return Report(
            name=recipe.name,
            version=recipe.version,
            build_id=served.spec.build_id,
            served=served.name,
            rejected=last.rejected,
            choice=last.choice,
            conditions={
                "date": datetime.now(UTC).date().isoformat(),
                "model": served.spec.source,
                "dataset": recipe.dataset.name if recipe.dataset else None,
                "questions": len(self._questions.judge),
                "train_data": recipe.train_data.name if recipe.train_data else None,
                "null_score_diff_threshold": self._threshold(),
                "target": recipe.target,
                "provider": served.engine.session.provider,
                "threads": recipe.measurement.threads or available_cpus(),
                "rounds": recipe.measurement.rounds,
                "steps in memory": self._in_memory() if latencies else None,
                "machine": platform.machine(),
                "peak_memory_mib": memory.peak_mib(),
                "tools": served.spec.tools,
            },
            steps=tuple(
                StepFigures(
                    name=step.name,
                    precision=step.spec.precision,
                    size_bytes=step.model_file.stat().st_size,
                    density=step.spec.density,
                    parity=gates.parity.get(step.name),
                    scores=gates.scores.get(step.name),
                    threshold=step.spec.null_score_diff_threshold,
                    loss=gates.losses.get(step.name),
                    warning=gates.warnings.get(step.name),
                    latency=latencies.get(step.name, {}),
                    notes=step.notes,
                    peak_memory_so_far_mib=gates.peaks[step.name],
                )
                for step in self.steps
            ),
        )
