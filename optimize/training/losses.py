"""What a student is trained to: the answers, the teacher's logits, and its hidden states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from optimize.training.batches import TrainingBatch


@dataclass(frozen=True)
class Weights:
    """How much of each loss counts.

    Attributes:
        distillation: Of the teacher's logits; the answers have the rest to 1.
        hidden: Of the teacher's hidden states, beside these.
        temperature: By which logits are divided before they are compared.
    """

    distillation: float = 0.9
    hidden: float = 1.0
    temperature: float = 2.0


@dataclass(frozen=True)
class Outputs:
    """What a model makes of a batch.

    Attributes:
        start, end: Logits, float32 (rows, longest).
        hidden: Hidden states after each layer, (rows, longest, hidden); empty if not asked for.
    """

    start: torch.Tensor
    end: torch.Tensor
    hidden: tuple[torch.Tensor, ...]


@dataclass(frozen=True)
class Losses:
    """The parts of one batch's loss; without a teacher, answers alone."""

    answers: torch.Tensor
    distillation: torch.Tensor | None
    hidden: torch.Tensor | None

    def total(self, weights: Weights) -> torch.Tensor:
        """Their weighted sum."""
        if self.distillation is None:
            return self.answers
        whole = (1 - weights.distillation) * self.answers + weights.distillation * self.distillation
        return whole if self.hidden is None else whole + weights.hidden * self.hidden


def losses(
    student: Outputs, teacher: Outputs | None, batch: TrainingBatch, weights: Weights
) -> Losses:
    """The losses of one batch.

    Args:
        student, teacher: Outputs of both on it; with hidden states where those count.
        batch: What both were given.
        weights: Which losses are needed, and the temperature.
    """
    ours = _logits(student, batch.real)
    answers = sum(
        functional.cross_entropy(logits, target)
        for logits, target in zip(ours, (batch.start, batch.end), strict=True)
    )
    found = torch.as_tensor(answers) / 2
    if teacher is None:
        return Losses(found, None, None)
    theirs = _logits(teacher, batch.real)
    pairs = zip(ours, theirs, strict=True)
    distilled = sum(divergence(one, other, weights.temperature) for one, other in pairs)
    hidden = None
    if weights.hidden:
        hidden = hidden_distance(student.hidden, teacher.hidden, batch.real)
    return Losses(found, torch.as_tensor(distilled) / 2, hidden)


def divergence(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """Mean over rows of the divergence from the teacher, times the temperature squared.

    (Hinton et al., 2015.) The factor keeps gradients of one size whatever the temperature.

    Args:
        student, teacher: Logits (rows, longest), minus infinity where there is only padding.
        temperature: By which both are divided.
    """
    real = teacher.isfinite()
    ours = (student / temperature).log_softmax(-1).masked_fill(~real, 0.0)
    theirs = (teacher / temperature).log_softmax(-1).masked_fill(~real, 0.0)
    each = torch.where(real, theirs.exp() * (theirs - ours), 0.0)
    return each.sum(-1).mean() * temperature**2


def hidden_distance(
    student: Sequence[torch.Tensor], teacher: Sequence[torch.Tensor], real: torch.Tensor
) -> torch.Tensor:
    """Mean over layers of the squared distance of real tokens, relative to the teacher's square.

    As ZipLM distils tokens (Kurtic et al., NeurIPS 2023, arXiv 2302.04089).

    Args:
        student, teacher: Hidden states after each layer, (rows, longest, hidden).
        real: Which tokens count, bool (rows, longest).
    """
    # Counting tokens by 0 and 1, unlike picking them, does not wait for a GPU to say how many.
    counts = real[..., None].float()
    each = []
    for one, other in zip(student, teacher, strict=True):
        wanted = other.float() * counts
        each.append((one.float() * counts - wanted).square().sum() / wanted.square().sum())
    return torch.stack(each).mean()


def _logits(output: Outputs, real: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Start and end logits, minus infinity on padding."""
    start, end = (logits.masked_fill(~real, -torch.inf) for logits in (output.start, output.end))
    return start, end
