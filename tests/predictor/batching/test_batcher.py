"""Requests that meet in the batcher: who runs together, and everybody gets their own answer."""

import asyncio
import random

import pytest

from predictor.types import Question
from tests.predictor.batching.gate import LONG, ask, until


def test_answers_are_the_engine_s(serve, engine):
    expected = engine.answer(LONG)[0]

    async def scenario(batcher, session):
        results, timings = await ask(batcher, LONG)
        assert results == expected
        assert all(seconds > 0 for seconds in timings.stages().values())

    serve(scenario)


def test_without_batching_every_feature_runs_alone(serve):
    async def scenario(batcher, session):
        await asyncio.gather(*(ask(batcher, LONG) for _ in range(3)))
        assert len(session.shapes) > 3
        assert {rows for rows, _ in session.shapes} == {1}

    serve(scenario, batching=False)


def test_runs_are_told_with_their_padding(serve):
    told = []

    async def scenario(batcher, session):
        await ask(batcher)
        await until(lambda: told)
        assert told == [(*session.shapes[0], 0)]

    serve(scenario, on_run=lambda rows, tokens, padding: told.append((rows, tokens, padding)))


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
