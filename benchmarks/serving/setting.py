"""Where and how much is measured, and the pairs of servers that are measured side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.artifact import tokenizer_of
from benchmarks.errors import BenchmarkError
from benchmarks.load import closed_loop
from benchmarks.processes import Cores, ServerProcess, predictor, running
from benchmarks.rounds import interleave
from benchmarks.workload import Texts

FAKE = "fake"
CLIENTS = 32
SEED = 20260
_WARM_UP_REQUESTS = 64
_IDLE_SECONDS = 2.0
_IDLE_SHARE = 0.03


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        rounds: Rounds that count of everything with a session that costs nothing.
        dropped: Rounds before them.
        lone: Requests of a lone client in a round.
        many: Requests of all clients together in a round.
        long_rounds: Rounds that count of everything else.
        features: Features in one pass of throughput.
    """

    rounds: int = 40
    dropped: int = 2
    lone: int = 100
    many: int = 640
    long_rounds: int = 16
    features: int = 64


QUICK = Sizes(rounds=12, dropped=1, lone=60, many=320, long_rounds=10, features=32)


@dataclass(frozen=True)
class Setting:
    """Where the figures are measured.

    Attributes:
        folder: The artifact; sessions without a model use its tokenizer.
        cores: Who runs where.
        sizes: How much is measured.
        scratch: Folder for logs and the offline process's input.
        say: Takes a line of progress.
    """

    folder: Path
    cores: Cores
    sizes: Sizes
    scratch: Path
    say: Callable[[str], None]

    def texts(self) -> Texts:
        """The same texts each time."""
        return Texts(tokenizer_of(self.folder), SEED)

    def against_bare(self) -> dict[str, list[str]]:
        """The predictor's defaults and the bare app, with a session that costs nothing."""
        bare = [
            "-m",
            "benchmarks.serving.bare_app",
            "--model_dir",
            str(self.folder),
            "--session",
            FAKE,
        ]
        return {"predictor": predictor(self.folder, {"session": FAKE}), "bare": bare}

    def on_and_off(self, session: str) -> dict[str, list[str]]:
        """The predictor with and without batching."""
        return {
            batching: predictor(self.folder, {"session": session, "batching": batching})
            for batching in ("on", "off")
        }

    def compare(
        self,
        commands: Mapping[str, Sequence[str]],
        requests: Sequence[bytes],
        measure: Callable[[int], float],
    ) -> dict[str, list[float]]:
        """Runs servers side by side and measures each at its port, in interleaved rounds.

        Raises:
            BenchmarkError: A server failed, or was not idle when it should be.
        """
        with self.side_by_side(commands, requests) as servers:
            return interleave(
                {name: partial(measure, server.port) for name, server in servers.items()},
                rounds=self.sizes.rounds,
                dropped=self.sizes.dropped,
            )

    @contextmanager
    def side_by_side(
        self, commands: Mapping[str, Sequence[str]], requests: Sequence[bytes]
    ) -> Iterator[dict[str, ServerProcess]]:
        """Servers that are up, warm and idle; some of the requests warm them.

        Raises:
            BenchmarkError: A server failed, or takes CPU while it is idle.
        """
        with running(commands, self.cores.server, self.scratch) as servers:
            for server in servers.values():
                closed_loop(server.port, requests[:_WARM_UP_REQUESTS], CLIENTS)
            before = {name: server.cpu_seconds() for name, server in servers.items()}
            time.sleep(_IDLE_SECONDS)
            for name, server in servers.items():
                share = (server.cpu_seconds() - before[name]) / _IDLE_SECONDS
                if share > _IDLE_SHARE:
                    raise BenchmarkError(
                        f"{name} takes {share:.0%} of the core while it is idle; the other "
                        "server's figures would be wrong"
                    )
            yield servers
