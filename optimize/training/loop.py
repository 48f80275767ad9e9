"""The training loop: batches, losses, steps, snapshots and progress."""

from __future__ import annotations

import logging
import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import FrameType
from typing import Any

import torch
from torch import nn

from optimize.errors import SourceError
from optimize.family import QA_HEAD, Family
from optimize.progress import Progress
from optimize.training import batches
from optimize.training.batches import TrainingBatch
from optimize.training.features import TrainingFeature
from optimize.training.losses import Losses, Outputs, Weights, losses
from optimize.training.movement import Movement, weights_and_scores
from optimize.training.settings import TrainingSettings
from optimize.training.snapshots import Snapshots

logger = logging.getLogger("optimize")

_LOG_SECONDS = 30.0


class Trainer:
    """Trains a student in place."""

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module | None,
        family: Family,
        features: Sequence[TrainingFeature],
        settings: TrainingSettings,
        movement: Movement | None = None,
    ) -> None:
        """Takes what is trained, to what, and on what.

        Args:
            student: The model; in evaluation mode again at the end.
            teacher: Whose logits and hidden states are the target too.
            family: Of both.
            features: At least one.
            settings: How.
            movement: The student's masks, where it is pruned meanwhile.
        """
        self._movement = movement
        self._device = torch.device(settings.device)
        self._student = student.to(self._device)
        self._teacher = teacher.to(self._device).eval() if teacher else None
        self._family = family
        self._features = features
        self._settings = settings
        self._weights = Weights(
            settings.distill_weight,
            settings.hidden_weight if teacher else 0.0,
            settings.temperature,
        )
        self._lengths = [len(feature) for feature in features]
        self._per_epoch = len(self._plan(0))
        self.steps = max(1, math.ceil(settings.epochs * self._per_epoch))
        _freeze(student, family, embeddings=not settings.train_embeddings)
        weights, scores = weights_and_scores(student)
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
            snapshots: Where they are, and are left.
            progress: Where to show how far it is.
            snapshot_seconds: Between two of them.

        Raises:
            SourceError: The loss is not a number any more; or the snapshots are another training's.
            WriteError: A snapshot cannot be written.
        """
        first = self._restore(snapshots)
        self._student.train()
        order: list[list[int]] = []
        saved = time.monotonic()
        with (
            _interruptible() as interrupted,
            progress.task("training: steps", self.steps) as advance,
        ):
            watch = _Watch(first, self.steps)
            for _ in range(first):
                advance()
            for step in range(first, self.steps):
                epoch, position = divmod(step, self._per_epoch)
                if not order or position == 0:
                    order = self._plan(epoch)
                batch = self._batch(order[position])
                found = self._step(batch, step)
                advance()
                watch.report(step, found, self._weights, int(batch.real.sum()), self._kept)
                late = time.monotonic() - saved > snapshot_seconds
                if (late or interrupted()) and step + 1 < self.steps:
                    snapshots.save(step + 1, self._state())
                    saved = time.monotonic()
                if number := interrupted():
                    logger.info("stopped after step %d; the same command goes on there", step + 1)
                    raise SystemExit(128 + number)
        self._student.eval()

    def _kept(self) -> str:
        """What the log says of the masks."""
        return f", {self._movement.share():.1%} kept" if self._movement else ""

    def _plan(self, epoch: int) -> list[list[int]]:
        settings = self._settings
        return batches.plan(self._lengths, settings.batch_tokens, settings.seed, epoch)

    def _batch(self, positions: Sequence[int]) -> TrainingBatch:
        chosen = [self._features[position] for position in positions]
        pad = int(getattr(self._student.config, "pad_token_id", 0) or 0)
        return batches.collate(chosen, self._family.inputs, pad).to(self._device)

    def _step(self, batch: TrainingBatch, step: int) -> Losses:
        settings = self._settings
        for group in self._optimizer.param_groups:
            group["lr"] = settings.rate(step, self.steps) * group["share"]
        if self._movement:
            self._movement.at(step, self.steps)
        found = self._losses(batch)
        total = found.total(self._weights)
        if self._movement:
            total = total + self._movement.penalty(step, self.steps)
        if not torch.isfinite(total):
            raise SourceError(
                f"training: the loss is {float(total)} at step {step + 1}; try a lower "
                "--learning-rate, or --compute fp32"
            )
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._trained.values(), settings.max_gradient_norm)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return found

    def _losses(self, batch: TrainingBatch) -> Losses:
        teacher = None
        if self._teacher is not None:
            with torch.no_grad():
                teacher = self._outputs(self._teacher, batch)
        return losses(self._outputs(self._student, batch), teacher, batch, self._weights)

    def _outputs(self, module: nn.Module, batch: TrainingBatch) -> Outputs:
        """Logits and hidden states; the logits in fp32, as bf16 knows one of ten to 0.03 only."""
        hidden = bool(self._weights.hidden)
        bf16 = self._settings.compute == "bf16"
        with torch.autocast(self._device.type, torch.bfloat16, enabled=bf16):
            encoder = module.get_submodule(self._family.base)
            encoded = encoder(**batch.inputs, output_hidden_states=hidden)
        logits = module.get_submodule(QA_HEAD)(encoded.last_hidden_state.float())
        # The first hidden states are the embeddings'.
        states = tuple(encoded.hidden_states[1:]) if hidden else ()
        return Outputs(logits[..., 0], logits[..., 1], states)

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


class _Watch:
    """Says in the log how far a training is, and when it will be done."""

    def __init__(self, first: int, steps: int) -> None:
        self._first = first
        self._steps = steps
        self._started = self._said = time.monotonic()
        self._tokens = 0
        self._recent: list[tuple[float, ...]] = []

    def report(
        self, step: int, found: Losses, weights: Weights, tokens: int, more: Callable[[], str]
    ) -> None:
        """Adds a step; says something, and what `more` adds, where it is time to."""
        self._tokens += tokens
        parts = (found.total(weights), found.answers, found.distillation, found.hidden)
        self._recent.append(tuple(float(part.detach()) for part in parts if part is not None))
        now = time.monotonic()
        done = step + 1
        if now - self._said < _LOG_SECONDS and done != self._steps:
            return
        elapsed = now - self._started
        left = timedelta(seconds=elapsed / (done - self._first) * (self._steps - done))
        means = [sum(values) / len(values) for values in zip(*self._recent, strict=True)]
        names = ("loss", "answers", "distillation", "hidden")
        text = ", ".join(f"{n} {mean:.4f}" for n, mean in zip(names, means, strict=False))
        end = datetime.now().astimezone() + left
        logger.info(
            "step %d of %d: %s%s; %.0f tokens/s, done at about %s",
            done, self._steps, text, more(), self._tokens / elapsed, f"{end:%H:%M:%S}",
        )  # fmt: skip
        self._said, self._recent = now, []


def _freeze(module: nn.Module, family: Family, *, embeddings: bool) -> None:
    """Lets all weights be trained, or all but those of the embeddings."""
    frozen = f"{family.base}.embeddings"
    for name, weight in module.named_parameters():
        weight.requires_grad_(not (embeddings and name.startswith(frozen)))


@contextmanager
def _interruptible() -> Iterator[Callable[[], int]]:
    """Yields what tells which signal asked for the end, 0 for none: a step is never half done."""
    received = 0

    def ask(number: int, _: FrameType | None) -> None:
        nonlocal received
        received = number

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
