"""QAModel: the model that KServe registers, around a loaded Engine and its Batcher.

KServe knows it by name and asks whether it is ready; V1, V2 and gRPC requests come to `answer`
decoded, from rest_api/routes.py and grpc_api/servicer.py.
"""

from __future__ import annotations

import asyncio

from kserve import Model

from predictor.batching.batcher import Batcher
from predictor.codecs.call import Call
from predictor.engine import Engine
from predictor.errors import ModelNotServed
from predictor.metrics import Metrics
from predictor.types import Result, SpanParameters, Timings


class QAModel(Model):  # type: ignore[misc]  # the SDK is untyped
    """Answers decoded requests with one Engine; ready until it is withdrawn.

    Attributes:
        spec: The `artifact.json` that is served.
        parameters: How spans are chosen where a request does not say.
    """

    def __init__(
        self,
        name: str,
        engine: Engine,
        batcher: Batcher,
        *,
        metrics: Metrics,
        request_timeout: float | None = None,
    ) -> None:
        """Takes what answers, loaded and warm.

        Args:
            name: The served model's name.
            engine: The artifact's.
            batcher: What puts the engine to work.
            metrics: Who counts.
            request_timeout: Seconds within which any request's runs must have started.
        """
        super().__init__(name)
        self.spec = engine.spec
        self.parameters: SpanParameters = engine.parameters
        self._remote = engine.depends_on
        self._batcher = batcher
        self._metrics = metrics
        self._request_timeout = request_timeout
        admission = batcher.admission
        metrics.watch(
            queue_requests=lambda: admission.waiting,
            queue_tokens=lambda: admission.tokens,
            in_flight=lambda: admission.requests,
        )
        self.ready = True

    def check(self, name: str, version: str | None) -> None:
        """Raises ModelNotServed for a model or version that is not the served one."""
        if name != self.name:
            raise ModelNotServed(f"model {name} is not served; {self.name} is")
        if version and version != str(self.spec.version):
            raise ModelNotServed(
                f"version {version} of {self.name} is not served; {self.spec.version} is"
            )

    def load(self) -> bool:
        """Whether it is ready: the SDK would load what is not, as if draining could be undone."""
        return bool(self.ready)

    async def healthy(self) -> bool:
        """Whether a request would be answered: not draining, and no remote away."""
        if not self.ready:
            return False
        return self._remote is None or await asyncio.to_thread(self._remote.ready)

    async def answer(self, call: Call) -> tuple[list[Result], Timings]:
        """Answers one request; raises what Batcher.answer does."""
        timeouts = [t for t in (call.timeout, self._request_timeout) if t is not None]
        results, timings = await self._batcher.answer(
            call.questions, call.parameters, min(timeouts, default=None)
        )
        self._metrics.answered(timings)
        return results, timings

    def withdraw(self) -> None:
        """Is not ready any more, so that clients turn elsewhere; it still answers."""
        self.ready = False

    async def drain(self) -> None:
        """Takes no more requests, and returns when those already accepted are answered."""
        self.withdraw()
        self._batcher.admission.close()
        while self._batcher.admission.requests:
            await asyncio.sleep(0.02)

    def stop(self) -> None:
        """Ends the threads; call after `drain`."""
        self._batcher.stop()
