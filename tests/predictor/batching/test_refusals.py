"""Who is refused, or comes too late, and what that costs the others."""

import asyncio

import pytest

from predictor.errors import (
    DeadlineExceeded,
    NotReady,
    QuestionTooLong,
    QueueFull,
    RequestTooLarge,
)
from predictor.types import Question
from tests.predictor.batching.gate import LONG, SHORT, ask, in_flight, until


def test_a_client_that_hangs_up_costs_no_run(serve):
    async def scenario(batcher, session):
        first = await in_flight(batcher, session)
        gone = ask(batcher)
        await until(lambda: len(batcher._queue) == 1)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert len(batcher._queue) == 0
        session.gate.set()
        await first
        assert len(session.shapes) == 1

    serve(scenario)


def test_late_work_is_refused_at_its_deadline_and_not_computed(serve):
    async def scenario(batcher, session):
        first = await in_flight(batcher, session)
        late = ask(batcher, timeout=0.05)
        with pytest.raises(DeadlineExceeded, match="waited"):
            await late  # while the first still runs
        assert not first.done()
        session.gate.set()
        await first
        assert len(session.shapes) == 1

    serve(scenario)


def test_a_run_that_has_started_is_not_late(serve):
    async def scenario(batcher, session):
        session.gate.clear()
        slow = ask(batcher, timeout=0.05)
        await asyncio.sleep(0.2)
        session.gate.set()
        results, _ = await slow
        assert results

    serve(scenario)


def test_a_full_queue_refuses_at_once(serve):
    async def scenario(batcher, session):
        first = await in_flight(batcher, session)
        waiting = [ask(batcher) for _ in range(2)]
        await until(lambda: len(batcher._queue) == 2)
        with pytest.raises(QueueFull) as refused:
            await ask(batcher)
        assert refused.value.retry_after >= 1
        session.gate.set()
        await asyncio.gather(first, *waiting)
        await ask(batcher)

    serve(scenario, max_queue_requests=2)


def test_waiting_tokens_are_bounded(serve, engine):
    tokens = sum(len(feature) for feature in engine.prepare(LONG))

    async def scenario(batcher, session):
        first = await in_flight(batcher, session)
        waiting = ask(batcher, LONG)
        await until(lambda: batcher.admission.tokens == tokens)
        with pytest.raises(QueueFull):
            await ask(batcher, LONG)
        session.gate.set()
        await asyncio.gather(first, waiting)

    serve(scenario, max_queue_tokens=tokens + 20)


def test_a_request_that_could_never_wait_is_too_large(serve):
    async def scenario(batcher, session):
        with pytest.raises(RequestTooLarge):
            await ask(batcher, LONG)
        await ask(batcher, SHORT)

    serve(scenario, max_queue_tokens=100)


def test_a_question_without_room_is_refused_alone(serve):
    async def scenario(batcher, session):
        bad = ask(batcher, [Question("word " * 100, "A context that needs room. " * 9)])
        good = ask(batcher)
        with pytest.raises(QuestionTooLong):
            await bad
        assert await good

    serve(scenario)


def test_after_closing_what_was_accepted_is_answered(serve):
    async def scenario(batcher, session):
        first = await in_flight(batcher, session)
        waiting = ask(batcher, LONG)
        await until(lambda: len(batcher._queue) > 1)
        batcher.admission.close()
        with pytest.raises(NotReady):
            await ask(batcher)
        session.gate.set()
        assert all(await asyncio.gather(first, waiting))

    serve(scenario)
