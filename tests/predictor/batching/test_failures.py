"""What fails fails its own request alone, and ends no thread."""

import asyncio

import numpy as np
import pytest

from predictor.batching.batcher import Batcher
from predictor.errors import (
    InternalError,
    StartupError,
)
from predictor.sessions.fake import FakeSession
from predictor.types import Logits
from tests.predictor.batching.gate import ask, in_flight, until


def test_a_run_that_fails_fails_its_own_requests(serve, caplog):
    def fail(batch):
        raise RuntimeError("out of memory")

    async def scenario(batcher, session):
        session.broken = fail
        with pytest.raises(InternalError, match="^internal error$"):
            await ask(batcher)
        session.broken = lambda batch: None
        assert await ask(batcher)

    serve(scenario)
    assert "out of memory" in caplog.text


class Panic(BaseException):
    """As the tokenizers library raises where it fails by itself."""


@pytest.mark.parametrize("stage", ["prepare", "run_batch", "extract"])
def test_a_panic_of_a_library_fails_its_own_request_and_ends_no_thread(
    serve, engine, monkeypatch, stage
):
    def panic(*_):
        raise Panic

    async def scenario(batcher, session):
        with monkeypatch.context() as broken:
            broken.setattr(engine, stage, panic)
            with pytest.raises(InternalError, match="^internal error$"):
                await asyncio.wait_for(ask(batcher), 5)
        assert await ask(batcher)

    serve(scenario)


def test_logits_that_are_no_numbers_fail_one_request_of_a_batch(serve, engine, monkeypatch):
    run = FakeSession.run

    def sick(self, batch):
        start, end = run(self, batch)
        if len(start) == 2:
            start[0] = np.nan
        return Logits(start, end)

    async def scenario(batcher, session):
        first = await in_flight(batcher, session)
        pair = [ask(batcher), ask(batcher)]
        await until(lambda: len(batcher._queue) == 2)
        monkeypatch.setattr(FakeSession, "run", sick)
        session.gate.set()
        outcomes = await asyncio.gather(first, *pair, return_exceptions=True)
        assert [isinstance(outcome, InternalError) for outcome in outcomes] == [False, True, False]

    serve(scenario)


def test_a_model_that_does_not_run_stops_the_start(engine):
    def fail(batch):
        raise RuntimeError("no kernel")

    engine.session.broken = fail
    with pytest.raises(StartupError, match="does not run: no kernel"):
        Batcher(engine)
