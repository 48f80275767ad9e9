"""What every protocol's client is: one request at a time, over a connection of its own, timed."""

from dataclasses import dataclass
from typing import Protocol

from loadtest.prompts import Prompt


@dataclass(frozen=True)
class Reply:
    """One answered request.

    `begun` and `ended` are seconds of perf_counter, taken when the first byte is sent and when the
    last one has come, so that neither making the request nor reading the answer's text is in them.
    `size` is the answer's in bytes, `sequence_length` in tokens where the target tells it, and
    `server_ms` has the stages of Server-Timing.
    """

    begun: float
    ended: float
    size: int
    sequence_length: int | None
    server_ms: dict[str, float]


class Client(Protocol):
    """Asks one model; not for two requests at a time."""

    def check_ready(self) -> None:
        """Raises RequestError unless the model is ready."""

    def infer(self, prompt: Prompt) -> Reply:
        """Ask one question; raises RequestError."""

    def close(self) -> None:
        """Close the connection."""
