"""What a session is: a ready batch in, logits out; and how it is told to run its model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from predictor.artifact import ArtifactSpec
from predictor.sessions.cpu import available_cpus
from predictor.types import Batch, Logits

MAX_BATCH_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class Remote:
    """A model that another server runs.

    Attributes:
        url: Its `host:port`; empty where there is none.
        model: Its name there; empty for the artifact's own.
        timeout: Seconds that one run may take.
        start_seconds: Seconds to wait at the start for it to be ready.
    """

    url: str = ""
    model: str = ""
    timeout: float = 30.0
    start_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How a session runs its model.

    Attributes:
        provider: An execution provider's name, or `auto`.
        threads: Threads for one run; given as 0, as many as the container may use.
        io_binding: Whether inputs and outputs are bound in place; the tables compare both.
        cuda_graph: Whether a CUDA provider replays captured graphs; needs `io_binding`.
        max_batch_tokens: Rows × longest of the largest batch that will come; 0 for as large as
            pays on the provider.
        remote: Where a session finds its model that runs it elsewhere.
    """

    provider: str = "auto"
    threads: int = 0
    io_binding: bool = True
    cuda_graph: bool = True
    max_batch_tokens: int = 0
    remote: Remote = Remote()

    def __post_init__(self) -> None:
        """Counts the CPUs where that is left to us."""
        if not self.threads:
            object.__setattr__(self, "threads", available_cpus())


class Session(Protocol):
    """A loaded model: a ready batch in, logits out. Called from one thread at a time.

    Attributes:
        provider: The execution provider that runs the model.
        run_overhead_tokens: How many tokens cost as much to compute as starting a run does;
            what padding is weighed against when features are grouped.
        max_batch_tokens: Rows × longest of the largest batch that may come.
    """

    provider: str
    run_overhead_tokens: int
    max_batch_tokens: int

    def __init__(self, spec: ArtifactSpec, folder: Path, options: SessionOptions) -> None:
        """Loads the model of a verified folder.

        Args:
            spec: The folder's `artifact.json`.
            folder: Where the model file lies.
            options: How to run it.

        Raises:
            StartupError: The model cannot be loaded, or not on that provider.
        """

    def run(self, batch: Batch) -> Logits:
        """Start and end logits, float32 (rows, longest)."""


@runtime_checkable
class WarmsUp(Protocol):
    """A session with more to prepare than a first run does, on the thread that will run it."""

    def warm_up(self) -> None:
        """Prepares all shapes that can come; raises StartupError."""


@runtime_checkable
class DependsOnRemote(Protocol):
    """A session that can run nothing while another server is away."""

    def ready(self) -> bool:
        """Whether that server has the model ready, asked now; from any thread, within a second."""
