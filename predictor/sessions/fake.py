"""A session without a model: the server can be tested, and measured, with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from predictor.artifact import ArtifactSpec
from predictor.sessions.protocol import MAX_BATCH_TOKENS, SessionOptions
from predictor.types import Batch, Logits


class FakeSession:
    """Deterministic logits from the token ids alone: lets the server be tested without a model."""

    provider = "fake"
    run_overhead_tokens = 16

    def __init__(self, spec: ArtifactSpec, folder: Path, options: SessionOptions) -> None:
        """Takes what every Session takes, and needs little of it."""
        self.max_batch_tokens = options.max_batch_tokens or MAX_BATCH_TOKENS

    def run(self, batch: Batch) -> Logits:
        """Logits in [0, 1), larger where a token's id times a constant wraps further."""
        ids = batch["input_ids"].astype(np.uint64)
        start = (ids * np.uint64(2654435761) % np.uint64(2**32)) / 2**32
        end = (ids * np.uint64(2246822519) % np.uint64(2**32)) / 2**32
        return Logits(start.astype(np.float32), end.astype(np.float32))
