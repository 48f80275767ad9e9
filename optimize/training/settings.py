"""What a training depends on, beside its weights and questions; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingSettings:
    """How a model is trained.

    Attributes:
        epochs: Passes over the features; a part of one is enough where it says so.
        learning_rate: The largest; it rises over the first `warmup` of all steps and falls to 0.
        warmup: Share of the steps.
        batch_tokens: Most tokens of a batch, padding counted.
        train_length: Tokens of a window.
        unanswerable_share: Of the questions, at least; made where there are fewer.
        distill_weight, hidden_weight, temperature: See `losses.Weights`.
        dropout: Instead of the configuration's.
        train_embeddings: Whether word, position and type embeddings are trained too.
        max_gradient_norm: What longer gradients are scaled down to.
        compute: fp32, or bf16 for products with fp32 weights.
        device: cpu or cuda.
        seed: Of all draws.
    """

    epochs: float = 1.0
    learning_rate: float = 1e-4
    warmup: float = 0.05
    batch_tokens: int = 4096
    train_length: int = 384
    unanswerable_share: float = 0.3
    distill_weight: float = 0.9
    hidden_weight: float = 1.0
    temperature: float = 2.0
    dropout: float = 0.0
    train_embeddings: bool = False
    max_gradient_norm: float = 1.0
    compute: str = "fp32"
    device: str = "cpu"
    seed: int = 0

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of a step, counted from 0."""
        rising = max(1, round(self.warmup * steps))
        if step < rising:
            return self.learning_rate * (step + 1) / rising
        return self.learning_rate * (steps - step) / max(1, steps - rising)
