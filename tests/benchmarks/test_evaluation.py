"""The two sides of the evaluation benchmark run the very same batches."""

import json

import numpy as np
import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.evaluation import _document, _repeated, batches, engine_figure
from optimize.data import squad
from optimize.data.squad import Example
from optimize.evaluation import evaluate
from tests.conftest import FAKE_SESSION

EXAMPLES = _repeated(
    [Example("1", "", "Who?", "A fox did. " * 40, ("fox",)), Example("2", "", "Why?", "No.", ())],
    70,
)


def test_the_session_alone_gets_the_batches_of_the_evaluation(fake_engine):
    seen = []
    run = fake_engine.session.run
    fake_engine.session.run = lambda batch: seen.append(batch) or run(batch)
    evaluate.evaluate(fake_engine, EXAMPLES)
    alone = batches(fake_engine, EXAMPLES)
    assert len(seen) == len(alone) > 3
    for ours, theirs in zip(alone, seen, strict=True):
        assert ours.keys() == theirs.keys()
        assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_the_questions_survive_the_file(tmp_path):
    path = tmp_path / "questions.json"
    path.write_text(json.dumps(_document(EXAMPLES)))
    read = squad.read(path)
    assert [(e.id, e.question, e.context, e.answers) for e in read] == [
        (e.id, e.question, e.context, e.answers) for e in EXAMPLES
    ]


def test_slices_that_count_and_too_few_questions(make_artifact, monkeypatch):
    monkeypatch.setattr(evaluate, "session_for", lambda _: FAKE_SESSION)
    folder = make_artifact()
    figure = engine_figure("fake", folder, EXAMPLES, 2)
    assert (figure.name, figure.value.rounds) == ("engine-fake", 2)
    assert not figure.held  # a session that costs nothing
    with pytest.raises(BenchmarkError, match="too few"):
        engine_figure("fake", folder, EXAMPLES[:20], 2)
