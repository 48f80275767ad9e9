"""Sessions that stand for hardware which is not there."""

from __future__ import annotations

import time

from predictor.sessions.fake import FakeSession
from predictor.types import Batch, Logits

RUN_SECONDS = 0.02


class FixedCostSession(FakeSession):
    """A run costs the same whatever is in it, as on a GPU with room left; no core is used."""

    provider = "fixed-cost"
    run_overhead_tokens = 10**6

    def run(self, batch: Batch) -> Logits:
        """FakeSession's logits, 20 ms later."""
        time.sleep(RUN_SECONDS)
        return super().run(batch)
