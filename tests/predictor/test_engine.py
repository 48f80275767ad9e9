"""The engine's stages, batches and warm-up, on a session that needs no model."""

import numpy as np
import pytest

from predictor.engine import Engine
from predictor.errors import InternalError, StartupError
from predictor.sessions.fake import FakeSession
from predictor.sessions.loading import load_session
from predictor.sessions.ort import OrtSession
from predictor.sessions.protocol import SessionOptions
from predictor.sessions.providers import check_one_runtime, choose_provider
from predictor.types import Logits, Question

QUESTIONS = [
    Question("Which pig?", "The second little pig built with sticks. " * 12),
    Question("Where?", "In a house of straw."),
    Question("When?", "Once upon a time. " * 30),
]


def test_answers_do_not_depend_on_the_batches(make_artifact):
    folder = make_artifact()
    options = [SessionOptions(max_batch_tokens=n) for n in (1, 100, 100_000)]
    answers = [
        Engine.load(folder, session="fake", options=own).answer(QUESTIONS)[0] for own in options
    ]
    assert answers[0] == answers[1] == answers[2]
    alone = Engine.load(folder, session="fake")
    assert [alone.answer([q])[0][0] for q in QUESTIONS] == answers[0]


def test_timings_are_measured_and_told(fake_engine):
    _, timings = fake_engine.answer(QUESTIONS)
    assert timings.tokenize > 0
    assert timings.run > 0
    assert timings.extract > 0
    assert timings.server_timing().startswith("tokenize;dur=")


def test_warm_up_runs_the_largest_window(fake_engine, monkeypatch):
    seen = []
    run = fake_engine.session.run
    monkeypatch.setattr(
        fake_engine.session,
        "run",
        lambda batch: seen.append(batch["input_ids"].shape) or run(batch),
        raising=False,
    )
    fake_engine.warm_up()
    assert seen[-1] == (1, fake_engine.spec.max_seq_length)
    assert seen[0][1] < seen[-1][1]


def test_logits_that_are_no_numbers_are_an_error(fake_engine, monkeypatch):
    def broken(batch):
        nan = np.full(batch["input_ids"].shape, np.nan, dtype=np.float32)
        return Logits(nan, nan)

    monkeypatch.setattr(fake_engine.session, "run", broken, raising=False)
    with pytest.raises(InternalError, match="finite"):
        fake_engine.answer(QUESTIONS)


@pytest.mark.parametrize("name", ["nowhere:Session", "predictor.sessions.ort:Nothing", "predictor"])
def test_an_unknown_session_is_refused(fake_engine, tmp_path, name):
    with pytest.raises(StartupError, match="cannot be imported"):
        load_session(name, fake_engine.spec, tmp_path, SessionOptions())


def test_a_file_that_is_no_model_is_refused(make_artifact):
    with pytest.raises(StartupError, match="ONNX Runtime cannot load it"):
        Engine.load(make_artifact())


def test_onnx_runtime_refuses_a_torch_artifact(fake_engine, tmp_path):
    spec = fake_engine.spec.model_copy(update={"format": "torch"})
    with pytest.raises(StartupError, match="--session"):
        OrtSession(spec, tmp_path, SessionOptions())


def test_a_provider_that_is_not_there_is_refused_and_auto_falls_back(caplog):
    with pytest.raises(StartupError, match="not available here"):
        choose_provider("NoSuchExecutionProvider", "cpu")
    assert choose_provider("auto", "cpu") == "CPUExecutionProvider"
    if choose_provider("auto", "cuda") == "CPUExecutionProvider":
        assert "falling back" in caplog.text


def test_two_runtimes_are_refused(monkeypatch):
    check_one_runtime()
    monkeypatch.setattr("importlib.metadata.version", lambda name: "1.0")
    with pytest.raises(StartupError, match="onnxruntime and onnxruntime-gpu"):
        check_one_runtime()


def test_the_fake_session_is_deterministic(fake_engine):
    assert isinstance(fake_engine.session, FakeSession)
    assert fake_engine.answer(QUESTIONS)[0] == fake_engine.answer(QUESTIONS)[0]
