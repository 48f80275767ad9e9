"""Requests that meet in the batcher: who runs together, who is refused, and nobody is lost."""

import asyncio
import random
import threading
import time

import numpy as np
import pytest

from predictor.batching.batcher import Batcher
from predictor.engine import Engine
from predictor.errors import (
    DeadlineExceeded,
    InternalError,
    NotReady,
    QuestionTooLong,
    QueueFull,
    RequestTooLarge,
    StartupError,
)
from predictor.sessions.fake import FakeSession
from predictor.sessions.protocol import SessionOptions
from predictor.types import Logits, Question

SHORT = [Question("Which pig?", "The second little pig built with sticks.")]
LONG = [Question("Which pig?", "The second little pig built with sticks. " * 30)]


class GateSession(FakeSession):
    """Runs only while the gate is open, and remembers the shapes it ran."""

    def __init__(self, spec, folder, options):
        super().__init__(spec, folder, options)
        self.gate = threading.Event()
        self.gate.set()
        self.running = threading.Semaphore(0)
        self.shapes = []
        self.broken = lambda batch: None

    def run(self, batch):
        self.shapes.append(batch["input_ids"].shape)
        self.running.release()
        assert self.gate.wait(20)
        self.broken(batch)
        return super().run(batch)


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


def ask(batcher, questions=SHORT, timeout=None):
    parameters = batcher._engine.parameters
    return asyncio.create_task(batcher.answer(questions, parameters, timeout))


async def until(condition):
    while not condition():
        await asyncio.sleep(0.001)


async def in_flight(batcher, session, questions=SHORT):
    """A request whose run does not end before the gate opens."""
    session.gate.clear()
    task = ask(batcher, questions)
    await until(lambda: session.running.acquire(blocking=False))
    return task


def test_answers_are_the_engine_s(serve, engine):
    expected = engine.answer(LONG)[0]

    async def scenario(batcher, session):
        results, timings = await ask(batcher, LONG)
        assert results == expected
        assert all(seconds > 0 for seconds in timings.stages().values())

    serve(scenario)


def test_an_idle_server_does_not_wait_and_company_gathers_during_a_run(serve):
    async def scenario(batcher, session):
        first = await in_flight(batcher, session)
        others = [ask(batcher) for _ in range(5)]
        await until(lambda: len(batcher._queue) == 5)
        session.gate.set()
        await asyncio.gather(first, *others)
        assert [rows for rows, _ in session.shapes] == [1, 5]

    serve(scenario)


def test_without_batching_every_feature_runs_alone(serve):
    async def scenario(batcher, session):
        await asyncio.gather(*(ask(batcher, LONG) for _ in range(3)))
        assert len(session.shapes) > 3
        assert {rows for rows, _ in session.shapes} == {1}

    serve(scenario, batching=False)


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


def test_runs_are_told_with_their_padding(serve):
    told = []

    async def scenario(batcher, session):
        await ask(batcher)
        await until(lambda: told)
        assert told == [(*session.shapes[0], 0)]

    serve(scenario, on_run=lambda rows, tokens, padding: told.append((rows, tokens, padding)))


def test_a_model_that_does_not_run_stops_the_start(engine):
    def fail(batch):
        raise RuntimeError("no kernel")

    engine.session.broken = fail
    with pytest.raises(StartupError, match="does not run: no kernel"):
        Batcher(engine)


@pytest.mark.parametrize("helpers", [1, 3])
def test_everybody_gets_their_own_answer_whoever_comes_and_goes(serve, engine, helpers):
    chance = random.Random(helpers)
    words = ["pig", "house", "straw", "sticks", "bricks", "wolf", "worked", "harder", "danced"]

    def request():
        count = chance.choice([1, 1, 1, 2, 5])
        length = chance.choice([3, 10, 60, 200])
        return [
            Question(
                " ".join(chance.choices(words, k=4)), " ".join(chance.choices(words, k=length))
            )
            for _ in range(count)
        ]

    requests = [request() for _ in range(150)]
    expected = [engine.answer(questions)[0] for questions in requests]

    async def scenario(batcher, session):
        tasks = []
        for questions in requests:
            tasks.append(ask(batcher, questions))
            if chance.random() < 0.2:
                await asyncio.sleep(0)
            if chance.random() < 0.1:
                chance.choice(tasks).cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        cancelled = [isinstance(outcome, asyncio.CancelledError) for outcome in outcomes]
        assert 0 < sum(cancelled) < 40
        for outcome, gone, own in zip(outcomes, cancelled, expected, strict=True):
            assert gone or outcome[0] == own

    serve(scenario, helpers=helpers, max_queue_tokens=10**6)


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
