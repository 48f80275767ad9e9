"""What a training depends on, beside its weights and questions; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MovementSettings:
    """How a model is pruned while it is trained; see `movement`.

    Attributes:
        regularization: How much the scores' penalty counts in the end: the more, the sparser.
        final_threshold: Of the scores' sigmoids.
        block_size: Rows and columns of attention's blocks.
        mask_rate: Learning rate of the scores, on the schedule of the weights' own.
        hold_start, hold_end: Shares of the run before the threshold rises from 0, and after.
    """

    regularization: float = 10.0
    final_threshold: float = 0.1
    block_size: int = 32
    mask_rate: float = 1e-2
    hold_start: float = 0.03
    hold_end: float = 0.33

    def threshold(self, step: int, steps: int) -> float:
        """It rises as a cubic, fast first: what is removed early has the longest to be made up."""
        rising = max(1.0, steps * (1 - self.hold_start - self.hold_end))
        done = min(1.0, max(0.0, (step - steps * self.hold_start) / rising))
        return self.final_threshold * (1 - (1 - done) ** 3)


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
        swapped_share: Of those made, the ones with a name or a number of the question swapped.
        distill_weight, hidden_weight, temperature: See `losses.Weights`.
        dropout: Instead of the configuration's.
        train_embeddings: Whether word, position and type embeddings are trained too.
        max_gradient_norm: What longer gradients are scaled down to.
        compute: fp32, or bf16 for products with fp32 weights.
        device: cpu or cuda.
        seed: Of all draws.
        movement: How to prune meanwhile, None not to.
    """

    epochs: float = 1.0
    learning_rate: float = 1e-4
    warmup: float = 0.05
    batch_tokens: int = 4096
    train_length: int = 384
    unanswerable_share: float = 0.3
    swapped_share: float = 0.5
    distill_weight: float = 0.9
    hidden_weight: float = 1.0
    temperature: float = 2.0
    dropout: float = 0.0
    train_embeddings: bool = False
    max_gradient_norm: float = 1.0
    compute: str = "fp32"
    device: str = "cpu"
    seed: int = 0
    movement: MovementSettings | None = None

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of a step, counted from 0."""
        rising = max(1, round(self.warmup * steps))
        if step < rising:
            return self.learning_rate * (step + 1) / rising
        return self.learning_rate * (steps - step) / max(1, steps - rising)
