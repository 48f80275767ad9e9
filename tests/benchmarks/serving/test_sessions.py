"""The session of fixed cost, the offline batches, and the bare app: each is what it stands for."""

import asyncio
import time
from itertools import chain

import httpx
import numpy as np
import pytest

from benchmarks.serving.bare_app import make_app
from benchmarks.serving.offline import ONE_BY_ONE, batches
from benchmarks.serving.sessions import RUN_SECONDS, FixedCostSession
from benchmarks.workload import v2_body
from predictor.engine import Engine
from predictor.sessions.fake import FakeSession
from predictor.types import Question


def test_fixed_cost_answers_as_the_fake_does(fake_engine, make_artifact):
    batch = {"input_ids": np.arange(12).reshape(3, 4)}
    folder = make_artifact("fixed")
    fixed = Engine.load(folder, session="benchmarks.serving.sessions:FixedCostSession").session
    assert isinstance(fixed, FixedCostSession)
    started = time.perf_counter()
    logits = fixed.run(batch)
    # A lower bound that sleeping guarantees.
    assert time.perf_counter() - started >= RUN_SECONDS
    expected = FakeSession.run(fixed, batch)
    np.testing.assert_array_equal(logits.start, expected.start)
    np.testing.assert_array_equal(logits.end, expected.end)
    assert fixed.run_overhead_tokens > 512 * 1000


@pytest.mark.parametrize("budget", [ONE_BY_ONE, 30, 100, 10**6])
def test_offline_batches_hold_the_budget(budget):
    lengths = [30, 5, 9, 31, 7, 7, 22]
    groups = batches(lengths, budget)
    assert sorted(chain(*groups)) == list(range(len(lengths)))
    for group in groups:
        assert len(group) == 1 or len(group) * max(lengths[p] for p in group) <= budget
    sizes = {ONE_BY_ONE: [1] * 7, 30: [3, 1, 1, 1, 1], 100: [4, 3], 10**6: [7]}
    assert [len(group) for group in groups] == sizes[budget]


def test_the_bare_app_answers_as_the_engine_does(fake_engine):
    questions = [Question("Who?", "The pig built a house."), Question("What?", "Of straw it was.")]
    app = make_app(fake_engine)

    async def ask():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://bare") as client:
            ready = await client.get("/v2/models/qa/ready")
            assert ready.json() == {"name": "qa", "ready": True}
            return await client.post("/v2/models/qa/infer", content=v2_body(questions))

    body = asyncio.run(ask()).json()
    outputs = {tensor["name"]: tensor["data"] for tensor in body["outputs"]}
    results, _ = fake_engine.answer(questions)
    best = [result.answers[0] for result in results]
    assert outputs == {
        "answer": [answer.text for answer in best],
        "score": pytest.approx([answer.score for answer in best]),
        "start": [answer.start for answer in best],
        "end": [answer.end for answer in best],
        "null_score_diff": pytest.approx([result.null_score_diff for result in results]),
        "sequence_length": [result.sequence_length for result in results],
    }
