"""`finetune`: trains a model, best a pruned one with the original as its teacher."""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch

from optimize.data import squad, unanswerable
from optimize.data.squad import Example
from optimize.errors import SourceError
from optimize.progress import Progress
from optimize.recipe import tool_versions
from optimize.source import checkpoint, compaction
from optimize.source.checkpoint import Checkpoint
from optimize.source.compaction import Compacted
from optimize.source.family import family_of
from optimize.steps import Step, StepBuilder
from optimize.training import hardware
from optimize.training.features import TrainingFeature, features
from optimize.training.loop import Trainer
from optimize.training.models import Network
from optimize.training.movement import Movement
from optimize.training.settings import MovementSettings, TrainingSettings
from optimize.training.snapshots import Snapshots
from optimize.verbs.converting import make
from optimize.verbs.recipes import given, recipe_of
from predictor.artifact import TOKENIZER_FILE
from predictor.sessions.cpu import available_cpus
from predictor.tokenization import FeatureTokenizer

logger = logging.getLogger("optimize")


def finetune(arguments: argparse.Namespace) -> int:
    """Trains; the artifact appears whole, or not at all, and snapshots stay until it is there."""
    recipe = recipe_of(arguments)
    torch.set_num_threads(recipe.measurement.threads or available_cpus())
    settings = _settings(arguments)
    train = squad.read(arguments.train_data)
    folder = arguments.snapshots or arguments.output.with_name(
        f"{arguments.output.resolve().name}.snapshots"
    )
    kept: list[Snapshots] = []

    def build(builder: StepBuilder, progress: Progress) -> Step:
        model = _without_zeros(checkpoint.load(recipe.model, recipe.revision))
        teacher = None
        if arguments.teacher:
            teacher = checkpoint.load(arguments.teacher, arguments.teacher_revision)
            _check_alike(model, teacher)
        snapshots = Snapshots(folder, _identity(settings, model, teacher, arguments.train_data))
        kept.append(snapshots)
        with snapshots.claimed():
            with progress.step("features"):
                made = _features(train, model, teacher, settings)
            trained, steps = _trained(
                model, teacher, made, settings, snapshots, progress, arguments
            )
        notes = trained.notes | {"trained": f"{steps} steps of {settings}"}
        return builder.pruned(model, trained, notes)

    status = make("finetune", recipe, build)
    kept[0].remove()
    return status


def _settings(arguments: argparse.Namespace) -> TrainingSettings:
    device = hardware.device(arguments.device)
    movement = MovementSettings(**given(MovementSettings, arguments))
    return TrainingSettings(
        **given(TrainingSettings, arguments)
        | {
            "device": device,
            "compute": hardware.compute(arguments.compute, device),
            "movement": movement if arguments.movement else None,
        }
    )


def _identity(
    settings: TrainingSettings, model: Checkpoint, teacher: Checkpoint | None, train_data: Path
) -> str:
    """A hash of all that decides the trained weights."""
    with train_data.open("rb") as stream:
        data = hashlib.file_digest(stream, "sha256").hexdigest()
    parts = {
        "settings": asdict(settings),
        "model": model.sha256,
        "teacher": teacher.sha256 if teacher else None,
        "train_data": data,
        "tools": tool_versions(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _without_zeros(model: Checkpoint) -> Checkpoint:
    """A checkpoint without its zero heads and neurons: training would bring them back."""
    left = compaction.compact(model.state, model.config)
    return replace(model, state=left.state)


def _check_alike(model: Checkpoint, teacher: Checkpoint) -> None:
    """Raises SourceError where a teacher sees other tokens than the model."""
    one, other = ((c.folder / TOKENIZER_FILE).read_bytes() for c in (model, teacher))
    if one != other:
        raise SourceError(f"{teacher.source}: the teacher has another tokenizer than the model")


def _features(
    train: Sequence[Example],
    model: Checkpoint,
    teacher: Checkpoint | None,
    settings: TrainingSettings,
) -> list[TrainingFeature]:
    longest = min(
        settings.train_length,
        *(family_of(c.config).longest(c.config) for c in (model, teacher) if c),
    )
    tokenizer = FeatureTokenizer(
        model.folder / TOKENIZER_FILE, max_seq_length=longest, doc_stride=min(128, longest // 4)
    )
    mixed = unanswerable.mixed(
        train,
        train,
        share=settings.unanswerable_share,
        seed=settings.seed,
        swapped_share=settings.swapped_share,
    )
    made = features(mixed, tokenizer)
    if not made:
        raise SourceError(f"none of {len(train)} questions leaves room for its context")
    logger.info(
        "training on %d windows of %d questions, %d windows without an answer, %d tokens",
        len(made), len(train), sum(not feature.end for feature in made), sum(map(len, made)),
    )  # fmt: skip
    return made


def _trained(
    model: Checkpoint,
    teacher: Checkpoint | None,
    made: Sequence[TrainingFeature],
    settings: TrainingSettings,
    snapshots: Snapshots,
    progress: Progress,
    arguments: argparse.Namespace,
) -> tuple[Compacted, int]:
    student = Network.of(model, dropout=settings.dropout)
    movement = None
    if settings.movement:
        movement = Movement(
            student.module, student.family, model.config.num_hidden_layers, settings.movement
        )
    if teacher and _sizes(teacher) != _sizes(model):
        logger.info("other layers than the teacher's: its hidden states are not learnt")
        settings = replace(settings, hidden_weight=0.0)
    taught = Network.of(teacher) if teacher else None
    trainer = Trainer(student, taught, made, settings, movement)
    logger.info("%d steps, %s on %s", trainer.steps, settings.compute, settings.device)
    trainer.run(snapshots, progress, snapshot_seconds=60 * arguments.snapshot_minutes)
    if movement:
        movement.settle()
    state = student.module.state_dict()
    state = {name: state[name].cpu().contiguous() for name in model.state}
    # Movement pruning leaves heads with a zero query or key, which it has trained without.
    compacted = compaction.compact(state, model.config, allow_lossy=movement is not None)
    return compacted, trainer.steps


def _sizes(source: Checkpoint) -> tuple[int, int]:
    return source.config.hidden_size, source.config.num_hidden_layers
