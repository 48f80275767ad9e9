"""The load of a soak: what the server can take, then twice that, in the open loop."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

import numpy as np

from benchmarks.errors import BenchmarkError
from benchmarks.processes import ServerProcess
from benchmarks.soak.senders import Outcome, Sender
from benchmarks.soak.traffic import WORKING, Shot, Traffic
from benchmarks.soak.verdict import answered_tokens

FACTOR = 2.0
_CLIENTS = 16
_WARM_UP_SECONDS = 3.0
_PROGRESS_SECONDS = 5


class Overload:
    """Loads one server and keeps what was seen.

    Attributes:
        capacity: Tokens the server answers per second in the closed loop.
        outcomes: Of everything that was sent by `run`.
        during: Those of them that came before the load ended.
        rss: Bytes of the server's resident memory, a sample a second.
    """

    def __init__(
        self,
        server: ServerProcess,
        sender: Sender,
        traffic: Traffic,
        say: Callable[[str], None],
    ) -> None:
        """Takes the server, the way to it, what to send, and where lines of progress go."""
        self.capacity = 0.0
        self.outcomes: list[Outcome] = []
        self.during: list[Outcome] = []
        self.rss: list[int] = []
        self._server = server
        self._sender = sender
        self._traffic = traffic
        self._say = say
        self._lag = 0.0

    async def find_capacity(self, seconds: float) -> None:
        """Measures the capacity with valid requests, in a closed loop, after a warm-up.

        Raises:
            BenchmarkError: Nothing was answered.
        """
        tokens = 0
        started = time.perf_counter() + _WARM_UP_SECONDS
        ended = started + seconds

        async def client() -> None:
            nonlocal tokens
            while time.perf_counter() < ended:
                outcome = await self._sender.send(self._traffic.pick(WORKING))
                if outcome.status == 200 and started <= time.perf_counter() < ended:
                    tokens += outcome.shot.tokens

        await asyncio.gather(*(client() for _ in range(_CLIENTS)))
        if not tokens:
            raise BenchmarkError("the server answered nothing while its capacity was measured")
        self.capacity = tokens / seconds
        self._say(f"Capacity: {self.capacity:.0f} tokens/s")

    async def run(self, seconds: float) -> None:
        """Sends at twice the capacity for a while, then waits for the last answer."""
        working = FACTOR * self.capacity / self._traffic.mean_working_tokens()
        rate = working / self._traffic.working_share()
        self._say(f"Load: {rate:.1f} requests/s, {working:.1f} of them valid, for {seconds:.0f} s")
        watch = asyncio.create_task(self._watch())
        try:
            async with asyncio.TaskGroup() as tasks:
                ended = time.perf_counter() + seconds
                due = time.perf_counter()
                while (due := due + self._traffic.gap(rate)) < ended:
                    await asyncio.sleep(max(0.0, due - time.perf_counter()))
                    self._lag = max(self._lag, time.perf_counter() - due)
                    tasks.create_task(self._one(self._traffic.pick()))
                await asyncio.sleep(max(0.0, ended - time.perf_counter()))
                self.during = list(self.outcomes)
                watch.cancel()
        finally:
            watch.cancel()

    async def _one(self, shot: Shot) -> None:
        self.outcomes.append(await self._sender.send(shot))

    async def _watch(self) -> None:
        """Samples memory every second and says how it goes."""
        seen = 0
        for second in range(1, 1 << 30):
            await asyncio.sleep(1)
            self.rss.append(self._server.rss_bytes())
            if second % _PROGRESS_SECONDS:
                continue
            last, seen = self.outcomes[seen:], len(self.outcomes)
            statuses = " ".join(
                f"{s}: {n}" for s, n in sorted(Counter(o.status for o in last).items())
            )
            answered = [o.seconds for o in last if o.status == 200] or [float("nan")]
            p50, p99 = np.percentile(answered, [50, 99])
            self._say(
                f"{second:5d} s  {statuses}  p50 {p50:.2f} s  p99 {p99:.2f} s  "
                f"{answered_tokens(last) / _PROGRESS_SECONDS:.0f} tokens/s  "
                f"RSS {self.rss[-1] / 2**20:.0f} MiB  generator late {self._lag * 1e3:.0f} ms"
            )
            self._lag = 0.0
