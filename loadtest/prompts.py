"""What is asked: a question with its context."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Prompt:
    """One request's texts."""

    question: str
    context: str

    def columns(self) -> Sequence[tuple[str, str]]:
        """The texts under the names of the V2 inputs."""
        return ("question", self.question), ("context", self.context)
