"""The training loop: batches, losses, steps and snapshots."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from optimize.errors import WriteError
from optimize.progress import Progress
from optimize.training import batches
from optimize.training.batches import TrainingBatch
from optimize.training.features import TrainingFeature
from optimize.training.interruption import interruptible
from optimize.training.losses import Losses, Weights, losses
from optimize.training.models import Network
from optimize.training.movement import Movement, weights_and_scores
from optimize.training.settings import TrainingSettings
from optimize.training.snapshots import Snapshots
from optimize.training.watch import Watch

logger = logging.getLogger("optimize")


class Trainer:
    """Trains a student in place."""

    def __init__(
        self,
        student: Network,
        teacher: Network | None,
        features: Sequence[TrainingFeature],
        settings: TrainingSettings,
        movement: Movement | None = None,
    ) -> None:
        """Takes what is trained, to what, and on what.

        Args:
            student: The model; in evaluation mode again at the end.
            teacher: Whose logits and hidden states are the target too.
            features: At least one.
            settings: How.
            movement: The student's masks, where it is pruned meanwhile.
        """
        self._movement = movement
        self._device = torch.device(settings.device)
        self._student = student
        self._teacher = teacher
        for network in filter(None, (student, teacher)):
            network.module.to(self._device).eval()
        self._features = features
        self._settings = settings
        self._weights = Weights(
            settings.distill_weight,
            settings.hidden_weight if teacher else 0.0,
            settings.temperature,
        )
        self._lengths = [len(feature) for feature in features]
        self._counts = batches.counts(
            self._lengths, settings.batch_tokens, settings.seed, settings.epochs
        )
        self.steps = sum(self._counts)
        if not settings.train_embeddings:
            student.freeze_embeddings()
        weights, scores = weights_and_scores(student.module)
        self._trained = weights | scores
        groups = [{"params": list(weights.values()), "share": 1.0}]
        if settings.movement and scores:
            share = settings.movement.mask_rate / settings.learning_rate
            groups.append({"params": list(scores.values()), "share": share})
        self._optimizer = torch.optim.AdamW(
            groups, lr=settings.learning_rate, weight_decay=0.0, fused=True
        )

    def run(
        self, snapshots: Snapshots, progress: Progress, snapshot_seconds: float = 300.0
    ) -> None:
        """Trains from the newest snapshot, or from the beginning, to the end.

        Args:
            snapshots: Where they are, and are left; one that cannot be written is done without.
            progress: Where to show how far it is.
            snapshot_seconds: Between two of them.

        Raises:
            SourceError: The loss is not a number any more; or the snapshots are another training's.
            SystemExit: It was asked to stop, and left a snapshot.
        """
        first = self._restore(snapshots)
        self._student.module.train()
        saved = time.monotonic()
        with (
            interruptible() as interrupted,
            progress.task("training: steps", self.steps) as advance,
        ):
            watch = Watch(first, self.steps)
            for _ in range(first):
                advance()
            for step, batch in enumerate(self._batches(first), first):
                watch.add(step + 1, self._step(batch, step), batch.tokens, self._kept)
                advance()
                if step + 1 == self.steps:
                    break
                late = time.monotonic() - saved > snapshot_seconds
                if late or interrupted():
                    watch.check(step + 1)
                    self._save(snapshots, step + 1)
                    saved = time.monotonic()
                if number := interrupted():
                    logger.info("stopped after step %d; the same command goes on there", step + 1)
                    raise SystemExit(128 + number)
        self._student.module.eval()

    def _kept(self) -> str:
        """What the log says of the masks."""
        return f", {self._movement.share():.1%} kept" if self._movement else ""

    def _batches(self, first: int) -> Iterator[TrainingBatch]:
        """The batches of all epochs, but so many of the first."""
        settings = self._settings
        for epoch, count in enumerate(self._counts):
            if first < count:
                order = batches.plan(self._lengths, settings.batch_tokens, settings.seed, epoch)
                for positions in itertools.islice(order, first, count):
                    yield self._batch(positions)
            first = max(0, first - count)

    def _batch(self, positions: Sequence[int]) -> TrainingBatch:
        chosen = [self._features[position] for position in positions]
        pad = int(getattr(self._student.module.config, "pad_token_id", 0) or 0)
        taken = self._student.family.inputs + (self._teacher.family.inputs if self._teacher else ())
        return batches.collate(chosen, tuple(dict.fromkeys(taken)), pad)

    def _step(self, batch: TrainingBatch, step: int) -> dict[str, torch.Tensor]:
        """One step of the optimizer; returns what was found, by the names that the log has."""
        settings = self._settings
        for group in self._optimizer.param_groups:
            group["lr"] = settings.rate(step, self.steps) * group["share"]
        if self._movement:
            self._movement.at(step, self.steps)
        found = self._losses(batch.to(self._device))
        total = found.total(self._weights)
        named = {"loss": total, "answers": found.answers}
        if found.distillation is not None:
            named["distillation"] = found.distillation
        if found.hidden is not None:
            named["hidden"] = found.hidden
        if self._movement:
            named["penalty"] = self._movement.penalty(step, self.steps)
            total = total + named["penalty"]
        total.backward()  # type: ignore[no-untyped-call]
        named["gradient"] = torch.nn.utils.clip_grad_norm_(
            self._trained.values(), settings.max_gradient_norm
        )
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return named

    def _losses(self, batch: TrainingBatch) -> Losses:
        hidden, bf16 = bool(self._weights.hidden), self._settings.compute == "bf16"
        wanted = None
        if self._teacher is not None:
            # Not in inference mode: its tensors cannot be kept for a backward pass.
            with torch.no_grad():
                wanted = self._teacher.outputs(batch, hidden=hidden, bf16=bf16)
        given = self._student.outputs(batch, hidden=hidden, bf16=bf16)
        return losses(given, wanted, batch, self._weights)

    def _save(self, snapshots: Snapshots, step: int) -> None:
        try:
            snapshots.save(step, self._state())
        except WriteError as error:
            logger.warning("no snapshot at step %d: %s", step, error)

    def _state(self) -> dict[str, Any]:
        cuda = self._device.type == "cuda"
        return {
            "weights": {name: weight.detach() for name, weight in self._trained.items()},
            "optimizer": self._optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state(self._device) if cuda else None,
        }

    def _restore(self, snapshots: Snapshots) -> int:
        """How many steps are done."""
        torch.manual_seed(self._settings.seed)
        found = snapshots.latest()
        if found is None:
            return 0
        with torch.no_grad():
            for name, weight in self._trained.items():
                weight.copy_(found["weights"][name])
        self._optimizer.load_state_dict(found["optimizer"])
        torch.set_rng_state(found["random"])
        if found["random_cuda"] is not None:
            torch.cuda.set_rng_state(found["random_cuda"], self._device)
        step: int = found["step"]
        logger.info("going on after step %d of %d", step, self.steps)
        return step
