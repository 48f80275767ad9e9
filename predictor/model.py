"""QAModel: the KServe model around the Engine."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kserve import InferRequest, InferResponse, Model

from predictor import codecs
from predictor.artifact import ArtifactSpec
from predictor.engine import Engine
from predictor.errors import (
    DeadlineExceeded,
    InternalError,
    ModelNotServed,
    NotReady,
    PredictorError,
    StartupError,
)
from predictor.transport import TransportError
from predictor.types import Result, Timings

logger = logging.getLogger(__name__)


class QAModel(Model):  # type: ignore[misc]  # the SDK is untyped
    """Answers V1 and V2 requests with one Engine, which runs on a thread of its own."""

    def __init__(self, name: str, load_engine: Callable[[], Engine]) -> None:
        """Takes the way to make the Engine; `load` does it."""
        super().__init__(name, return_response_headers=True)
        self._load_engine = load_engine
        self._engine: Engine | None = None
        # One thread: a session runs one batch at a time with all of the container's cores.
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine")

    @property
    def engine_spec(self) -> ArtifactSpec:
        """The `artifact.json` that is served; raises NotReady before `load`."""
        return self._loaded().spec

    def check_version(self, version: str | None) -> None:
        """Raises ModelNotServed for a version that is asked for and is not the served one."""
        served = self._loaded().spec.version
        if version and version != str(served):
            raise ModelNotServed(f"version {version} of {self.name} is not served; {served} is")

    def load(self) -> bool:
        """Loads the artifact and warms it up; only then is the model ready.

        Raises:
            StartupError: The artifact cannot be served.
        """
        engine = self._load_engine()
        try:
            self._executor.submit(engine.warm_up).result()
        except Exception as error:  # a model that does not fit its spec fails in its own way
            raise StartupError(f"the model does not run: {error}") from error
        self._engine = engine
        spec = engine.spec
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

    def stop(self) -> None:
        """Takes no more requests; those already accepted are answered."""
        self.ready = False
        self._executor.shutdown(wait=False)

    async def get_input_types(self) -> list[dict[str, Any]]:
        """The V2 inputs, for the model's metadata."""
        return codecs.INPUTS

    async def get_output_types(self) -> list[dict[str, Any]]:
        """The V2 outputs, for the model's metadata."""
        return codecs.OUTPUTS

    def validate(self, payload: Any) -> Any:
        """Leaves every check to the codecs, so that it means the same on every protocol."""
        return payload

    async def predict(
        self,
        payload: dict[str, Any] | bytes | InferRequest,
        headers: dict[str, str] | None = None,
        response_headers: dict[str, str] | None = None,
    ) -> dict[str, Any] | InferResponse:
        """Answers one request.

        Raises:
            TransportError: Whatever went wrong, with its status on each transport.
        """
        try:
            return await self._answer(payload, response_headers)
        except PredictorError as error:
            raise TransportError(error) from error
        except Exception as error:
            logger.exception("a request failed unexpectedly")
            raise TransportError(InternalError("internal error")) from error

    async def _answer(
        self,
        payload: dict[str, Any] | bytes | InferRequest,
        response_headers: dict[str, str] | None,
    ) -> dict[str, Any] | InferResponse:
        engine = self._loaded()
        decode = codecs.decode_v2 if isinstance(payload, InferRequest) else codecs.decode_v1
        self.check_version(getattr(payload, "model_version", None))
        call = decode(payload, engine.parameters, engine.spec.max_seq_length)

        submitted = time.perf_counter()

        def work() -> tuple[list[Result], Timings]:
            waited = time.perf_counter() - submitted
            if call.timeout is not None and waited > call.timeout:
                raise DeadlineExceeded(f"the request waited {waited * 1e6:.0f} µs for its turn")
            results, timings = engine.answer(call.questions, call.parameters)
            timings.queue = waited
            return results, timings

        try:
            answered = asyncio.get_running_loop().run_in_executor(self._executor, work)
        except RuntimeError as error:  # the executor is shut down
            raise NotReady("the server is shutting down") from error
        results, timings = await answered

        if response_headers is not None:
            response_headers["server-timing"] = timings.server_timing()
        top_k = call.parameters.top_k
        if isinstance(payload, InferRequest):
            return codecs.encode_v2(
                payload,
                results,
                top_k,
                model=self.name,
                version=engine.spec.version,
                timings=timings,
            )
        return codecs.encode_v1(results, top_k)

    def _loaded(self) -> Engine:
        if self._engine is None:
            raise NotReady(f"model {self.name} is loading")
        return self._engine
