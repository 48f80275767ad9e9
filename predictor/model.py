"""QAModel: the model that KServe registers, around the Engine and its Batcher.

KServe knows it by name and asks whether it is ready; V1, V2 and gRPC requests come to `answer`
decoded, from rest_api/routes.py and grpc_api/servicer.py.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from kserve import Model

from predictor.artifact import ArtifactSpec
from predictor.batching.batcher import Batcher
from predictor.codecs.call import Call
from predictor.engine import Engine
from predictor.errors import ModelNotServed, NotReady
from predictor.metrics import Metrics
from predictor.sessions import instructions
from predictor.sessions.providers import CPU
from predictor.types import Result, SpanParameters, Timings

logger = logging.getLogger(__name__)


class QAModel(Model):  # type: ignore[misc]  # the SDK is untyped
    """Answers decoded requests with one Engine."""

    def __init__(
        self,
        name: str,
        load_engine: Callable[[], Engine],
        make_batcher: Callable[[Engine], Batcher],
        *,
        metrics: Metrics,
        request_timeout: float | None = None,
    ) -> None:
        """Takes the ways to make the Engine and its Batcher; `load` does it.

        Args:
            name: The served model's name.
            load_engine: Loads the artifact.
            make_batcher: Warms the engine up and puts it to work.
            metrics: Who counts.
            request_timeout: Seconds within which any request's runs must have started.
        """
        super().__init__(name)
        self._load_engine = load_engine
        self._make_batcher = make_batcher
        self._metrics = metrics
        self._request_timeout = request_timeout
        self._engine: Engine | None = None
        self._batcher: Batcher | None = None

    @property
    def spec(self) -> ArtifactSpec:
        """The `artifact.json` that is served; raises NotReady before `load`."""
        return self._loaded().spec

    @property
    def parameters(self) -> SpanParameters:
        """How spans are chosen where a request does not say; raises NotReady before `load`."""
        return self._loaded().parameters

    def check(self, name: str, version: str | None) -> None:
        """Raises ModelNotServed for a model or version that is not the served one."""
        if name != self.name:
            raise ModelNotServed(f"model {name} is not served; {self.name} is")
        if version and version != str(self.spec.version):
            raise ModelNotServed(
                f"version {version} of {self.name} is not served; {self.spec.version} is"
            )

    def load(self) -> bool:
        """Loads the artifact and warms it up; only then is the model ready.

        Raises:
            StartupError: The artifact cannot be served.
        """
        engine = self._load_engine()
        logger.info("warming up %s", self.name)
        batcher = self._make_batcher(engine)
        self._engine, self._batcher = engine, batcher
        admission = batcher.admission
        self._metrics.watch(
            queue_requests=lambda: admission.waiting,
            queue_tokens=lambda: admission.tokens,
            in_flight=lambda: admission.requests,
        )
        spec = engine.spec
        if engine.session.provider == CPU:
            here = instructions.detected()
            self._metrics.runs_on_cpu(
                instructions.named(here),
                instructions.named(spec.instruction_sets),
                instructions.agree(spec, here),
            )
        logger.info(
            "serving %s version %d (%s, %s) on %s",
            self.name,
            spec.version,
            spec.precision,
            spec.build_id[:12],
            engine.session.provider,
        )
        self.ready = True
        return self.ready

    async def healthy(self) -> bool:
        """Whether a request would be answered: loaded, not draining, and no remote away."""
        if not self.ready or self._engine is None:
            return False
        remote = self._engine.depends_on
        return remote is None or await asyncio.to_thread(remote.ready)

    async def answer(self, call: Call) -> tuple[list[Result], Timings]:
        """Answers one request; raises what Batcher.answer does."""
        if self._batcher is None:
            raise NotReady(f"model {self.name} is loading")
        timeouts = [t for t in (call.timeout, self._request_timeout) if t is not None]
        results, timings = await self._batcher.answer(
            call.questions, call.parameters, min(timeouts, default=None)
        )
        self._metrics.answered(timings)
        return results, timings

    async def drain(self) -> None:
        """Takes no more requests, and returns when those already accepted are answered."""
        self.ready = False
        if self._batcher is not None:
            self._batcher.admission.close()
            while self._batcher.admission.requests:
                await asyncio.sleep(0.02)

    def stop(self) -> None:
        """Ends the threads; call after `drain`."""
        self.ready = False
        if self._batcher is not None:
            self._batcher.stop()

    def _loaded(self) -> Engine:
        if self._engine is None:
            raise NotReady(f"model {self.name} is loading")
        return self._engine
