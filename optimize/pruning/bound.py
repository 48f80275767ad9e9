"""What a pruned model may cost; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["density", "flops", "latency"]


@dataclass(frozen=True)
class Bound:
    """What a pruned model may cost.

    Attributes:
        kind: density (share of the unpruned encoder's linear weights), flops (share of the unpruned
            encoder's operations on one sequence) or latency (ms of one sequence on this machine).
        value: The most of it.
        length: Tokens of that sequence.
    """

    kind: Kind
    value: float
    length: int = 384

    def __str__(self) -> str:
        """For people: what is bounded, and where."""
        unit = " ms" if self.kind == "latency" else ""
        at = "" if self.kind == "density" else f" at {self.length} tokens"
        return f"{self.kind} {self.value:g}{unit}{at}"
