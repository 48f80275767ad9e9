"""QAModel: ready from its start until it is withdrawn, and emptied before it stops."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from predictor.batching.batcher import Batcher
from predictor.codecs.call import Call
from predictor.errors import ModelNotServed, NotReady
from predictor.metrics import Metrics
from predictor.model import QAModel
from predictor.types import Question

QUESTIONS = (Question("Which pig?", "The second little pig built with sticks."),)


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def model(fake_engine, registry):
    batcher = Batcher(fake_engine)
    model = QAModel("qa", fake_engine, batcher, metrics=Metrics(registry))
    yield model
    model.stop()


@pytest.fixture
def call(model):
    return Call(QUESTIONS, model.parameters, None)


def test_it_is_ready_and_answers(model, call, fake_engine, registry):
    assert model.ready
    assert asyncio.run(model.healthy())
    results, _ = asyncio.run(model.answer(call))
    assert results == fake_engine.answer(QUESTIONS)[0]
    stage = registry.get_sample_value("spanserve_stage_seconds_count", {"stage": "run"})
    assert stage == 1
    assert registry.get_sample_value("spanserve_in_flight") == 0


def test_withdrawn_it_still_answers_and_loading_changes_nothing(model, call):
    model.withdraw()
    assert not model.load()
    assert not asyncio.run(model.healthy())
    results, _ = asyncio.run(model.answer(call))
    assert results


def test_drained_it_has_answered_what_it_accepted_and_takes_no_more(model, call):
    async def scenario():
        accepted = [asyncio.create_task(model.answer(call)) for _ in range(5)]
        await asyncio.sleep(0)  # all of them are admitted
        await model.drain()
        assert all(await asyncio.wait_for(asyncio.gather(*accepted), 10))
        with pytest.raises(NotReady):
            await model.answer(call)

    asyncio.run(scenario())
    assert not model.ready


@pytest.mark.parametrize(("name", "version"), [("other", None), ("qa", "2"), ("qa", "x")])
def test_another_model_or_version_is_not_served(model, name, version):
    served = str(model.spec.version)
    model.check("qa", served)
    model.check("qa", None)
    with pytest.raises(ModelNotServed, match="is not served"):
        model.check(name, version)
