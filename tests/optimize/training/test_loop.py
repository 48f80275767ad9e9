"""The loop learns in every family, sees each batch once, and goes on as if it had never stopped."""

import logging
import math

import pytest
import torch

from optimize.errors import SourceError
from optimize.progress import Progress
from optimize.training import batches
from optimize.training.loop import Trainer
from optimize.training.models import Network
from optimize.training.movement import Movement
from optimize.training.settings import MovementSettings, TrainingSettings
from optimize.training.snapshots import Snapshots
from tests.optimize.source import sources
from tests.optimize.training.given import source, windows

FEATURES = windows(40)
MOVEMENT = MovementSettings(block_size=sources.HEAD_SIZE, mask_rate=0.3, regularization=20)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return source("bert", tmp_path_factory.mktemp("model") / "source")


def make(model, teacher=None, **changes):
    """A trainer and its student's module."""
    given = {"epochs": 3.0, "batch_tokens": 100, "learning_rate": 3e-3} | changes
    settings = TrainingSettings(**given)
    student = Network.of(model, settings.dropout)
    movement = None
    if settings.movement:
        movement = Movement(student.module, student.family, sources.LAYERS, settings.movement)
    taught = Network.of(teacher) if teacher else None
    return Trainer(student, taught, FEATURES, settings, movement), student.module


def run(trainer, folder, seconds=300.0, identity="me"):
    snapshots = Snapshots(folder, identity)
    with Progress() as progress, snapshots.claimed():
        trainer.run(snapshots, progress, seconds)


@pytest.mark.parametrize("kind", sources.KINDS)
def test_a_student_learns_from_its_teacher(kind, tmp_path):
    teacher = source(kind, tmp_path / "teacher")
    model = source(kind, tmp_path / "student", change=sources.mask)
    trainer, student = make(model, teacher, epochs=10.0)
    first = next(iter(trainer._batches(0)))
    before = trainer._losses(first)
    frozen = {name: t.clone() for name, t in student.named_parameters() if "embeddings." in name}
    run(trainer, tmp_path / "snapshots")
    after = trainer._losses(first)
    assert after.distillation < 0.5 * before.distillation
    assert after.hidden < before.hidden
    assert all(torch.equal(t, student.get_parameter(name)) for name, t in frozen.items())
    assert not student.training


def test_every_batch_of_every_epoch_is_seen_once(model, monkeypatch):
    """Epochs have different numbers of batches, and the last one may be a part."""
    monkeypatch.setattr(batches, "_POOL", 8)
    lengths = [len(feature) for feature in FEATURES]
    counts = {seed: batches.counts(lengths, 50, seed, 5.5) for seed in range(20)}
    seed = next(seed for seed, found in counts.items() if len(set(found[:5])) > 1)
    trainer, _ = make(model, epochs=5.5, seed=seed, batch_tokens=50)
    assert trainer.steps == sum(counts[seed])
    whole = [batch.inputs["input_ids"] for batch in trainer._batches(0)]
    assert len(whole) == trainer.steps
    for first in range(trainer.steps):
        rest = [batch.inputs["input_ids"] for batch in trainer._batches(first)]
        assert len(rest) == trainer.steps - first
        assert all(torch.equal(a, b) for a, b in zip(rest, whole[first:], strict=True))


@pytest.mark.parametrize(
    "changes",
    [{}, {"dropout": 0.3}, {"movement": MOVEMENT}, {"train_embeddings": True}],
    ids=["plain", "dropout", "masks", "embeddings"],
)
def test_from_a_snapshot_it_ends_with_the_same_weights(model, tmp_path, changes, caplog):
    first, whole = make(model, model, **changes)
    run(first, tmp_path / "snapshots", seconds=0.0)
    with caplog.at_level(logging.INFO, "optimize"):
        second, resumed = make(model, model, **changes)
        run(second, tmp_path / "snapshots")
    assert f"going on after step {first.steps - 1} of {first.steps}" in caplog.text
    for (name, ours), theirs in zip(
        resumed.state_dict().items(), whole.state_dict().values(), strict=True
    ):
        assert torch.equal(ours, theirs), name


def test_the_same_seed_gives_the_same_weights_and_another_one_others(model, tmp_path):
    ends = []
    for place, seed in enumerate((1, 1, 2)):
        trainer, student = make(model, epochs=1.0, seed=seed)
        run(trainer, tmp_path / str(place))
        ends.append(student.state_dict()["qa_outputs.weight"])
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])


def test_a_loss_that_is_no_number_ends_it_and_spoils_no_snapshot(model, tmp_path):
    trainer, student = make(model)
    run_step = trainer._step

    def spoil(batch, step):
        if step == 5:
            with torch.no_grad():
                student.qa_outputs.bias.fill_(math.nan)
        return run_step(batch, step)

    trainer._step = spoil
    with pytest.raises(SourceError, match=r"the loss is nan at step 6 of .*--learning-rate"):
        run(trainer, tmp_path / "snapshots", seconds=0.0)
    assert Snapshots(tmp_path / "snapshots", "me").latest()["step"] == 5


def test_without_room_for_a_snapshot_it_goes_on(model, tmp_path, caplog):
    trainer, _ = make(model, epochs=1.0)
    (tmp_path / "file").touch()
    with Progress() as progress, caplog.at_level(logging.INFO, "optimize"):
        trainer.run(Snapshots(tmp_path / "file" / "none", "me"), progress, 0.0)
    assert "no snapshot at step 1: " in caplog.text
    assert f"step {trainer.steps} of {trainer.steps}" in caplog.text


def test_masks_are_trained_at_their_own_rate(model, tmp_path):
    trainer, student = make(model, movement=MOVEMENT, epochs=8.0)
    before = student.state_dict()
    before = {name: t.clone() for name, t in before.items()}
    run(trainer, tmp_path / "snapshots")
    moved = {
        name: float((t - before[name]).abs().max()) for name, t in student.state_dict().items()
    }
    scores = [moved[name] for name in moved if name.endswith(".scores")]
    assert max(scores) > 2
    assert trainer._movement.share() < 0.9
