"""Which thread does what, and what does not wait for it."""

import asyncio
import threading
import time

from predictor.types import Question
from tests.predictor.batching.gate import LONG, ask, in_flight, until


def test_an_idle_server_does_not_wait_and_company_gathers_during_a_run(serve):
    async def scenario(batcher, session):
        first = await in_flight(batcher, session)
        others = [ask(batcher) for _ in range(5)]
        await until(lambda: len(batcher._queue) == 5)
        session.gate.set()
        await asyncio.gather(first, *others)
        assert [rows for rows, _ in session.shapes] == [1, 5]

    serve(scenario)


def test_what_has_run_does_not_wait_for_a_helper_at_a_long_text(serve, engine, monkeypatch):
    at_a_text, go_on = threading.Event(), threading.Event()
    prepare = engine.prepare

    def slow_prepare(questions, max_tokens=None):
        if len(questions[0].context) > 20_000:
            at_a_text.set()
            assert go_on.wait(20)
        return prepare(questions, max_tokens)

    monkeypatch.setattr(engine, "prepare", slow_prepare)

    async def scenario(batcher, session):
        first = await in_flight(batcher, session)
        long = ask(batcher, [Question("Which pig?", "The second little pig. " * 1000)])
        await until(at_a_text.is_set)
        next_one = ask(batcher)
        await until(lambda: batcher._schedule._fresh)
        session.gate.set()
        try:
            await asyncio.wait_for(asyncio.gather(first, next_one), 5)
        finally:
            go_on.set()
        await long

    serve(scenario)


def test_the_session_is_used_by_one_thread_alone(serve):
    threads = set()

    async def scenario(batcher, session):
        session.broken = lambda batch: (threads.add(threading.get_ident()), time.sleep(0.001))
        await asyncio.gather(*(ask(batcher, LONG) for _ in range(10)))
        assert len(threads) == 1

    serve(scenario, helpers=3)
