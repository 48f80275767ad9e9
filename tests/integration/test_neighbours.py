"""An answer does not depend on who runs in the same batch."""

import pytest

from optimize.__main__ import main
from optimize.data import squad
from optimize.evaluation.evaluate import predict
from predictor.engine import Engine
from predictor.sessions.protocol import SessionOptions
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def examples():
    return squad.read(ROOT / "demo" / "data" / "questions.json")


def test_fp32_answers_are_the_same_in_any_company(fp32, examples):
    """The most padding that the server could ever give: whatever fits the budget runs together."""
    engine = Engine.load(fp32, options=SessionOptions(max_batch_tokens=4096))
    alone = predict(engine, examples, concurrency=1)
    engine.session.run_overhead_tokens = 4096
    together = predict(engine, examples, concurrency=32)
    for example in examples:
        ours, theirs = together[example.id], alone[example.id]
        assert ours.best == theirs.best
        assert ours.null_score_diff == pytest.approx(theirs.null_score_diff, abs=1e-4)


def test_features_that_wait_together_are_evaluated_as_they_are_served(fp32, examples, monkeypatch):
    engine = Engine.load(fp32)
    shapes = []
    run = engine.session.run
    monkeypatch.setattr(
        engine.session,
        "run",
        lambda batch: shapes.append(batch["input_ids"].shape) or run(batch),
        raising=False,
    )
    predict(engine, examples[:32])
    rows = [rows for rows, _ in shapes]
    assert max(rows) > 1
    assert sum(rows) >= 32
    assert all(n == 1 or n * longest <= engine.session.max_batch_tokens for n, longest in shapes)


def test_int8_features_run_alone_so_that_company_cannot_change_their_answers(built, examples):
    engine = Engine.load(built("int8") / "qa" / "1")
    assert predict(engine, examples, concurrency=1) == predict(engine, examples, concurrency=32)


def test_static_int8_shares_runs_and_answers_the_same_in_any_company(fp32, examples, tmp_path):
    choice = ROOT / "demo" / "data" / "choice.json"
    quantize = ["quantize", "--model-dir", str(fp32), "--output", str(tmp_path / "static")]
    assert main([*quantize, "--static", "--train-data", str(choice)]) == 0
    engine = Engine.load(tmp_path / "static", options=SessionOptions(max_batch_tokens=4096))
    assert engine.session.run_overhead_tokens < 4096
    alone = predict(engine, examples, concurrency=1)
    engine.session.run_overhead_tokens = 4096
    together = predict(engine, examples, concurrency=32)
    for example in examples:
        ours, theirs = together[example.id], alone[example.id]
        assert ours.best == theirs.best
        assert ours.null_score_diff == pytest.approx(theirs.null_score_diff, abs=1e-4)
