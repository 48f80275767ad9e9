"""An engine whose runs can be held, and a batcher for each scenario."""

import asyncio

import pytest

from predictor.batching.batcher import Batcher
from predictor.engine import Engine
from predictor.sessions.protocol import SessionOptions
from tests.predictor.batching.gate import GateSession


@pytest.fixture
def engine(fake_engine):
    session = GateSession(fake_engine.spec, None, SessionOptions())
    return Engine(fake_engine.spec, fake_engine._tokenizer, session)


@pytest.fixture
def serve(engine):
    """Runs a scenario against a batcher, which must be idle in the end."""

    def run(scenario, **options):
        batcher = Batcher(engine, **options)
        engine.session.shapes.clear()
        while engine.session.running.acquire(blocking=False):
            pass
        try:
            return asyncio.run(asyncio.wait_for(scenario(batcher, engine.session), 30))
        finally:
            engine.session.gate.set()
            batcher.stop()
            admission = batcher.admission
            assert (admission.requests, admission.waiting, admission.tokens) == (0, 0, 0)

    return run
