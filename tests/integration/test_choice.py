"""A build's choice among int8 variants, from training questions to the report."""

import json
from dataclasses import replace

import pytest

from optimize import choice
from optimize.build import build
from optimize.choice import Candidate
from optimize.errors import SourceError
from optimize.evaluation.parity import QUESTIONS
from optimize.progress import Progress
from optimize.recipe import Measurement, Recipe, Serving, Tolerances
from predictor.artifact import load_spec
from predictor.engine import Engine
from tests.integration.building import one_error_line, optimize
from tests.optimize.source import sources


def write_squad(path, questions):
    """A SQuAD file whose answers are the first words of the contexts."""
    paragraphs = [
        {
            "context": q.context,
            "qas": [{"id": str(i), "question": q.question, "answers": [{"text": q.context[:11]}]}],
        }
        for i, q in enumerate(questions)
    ]
    path.write_text(json.dumps({"data": [{"title": "t", "paragraphs": paragraphs}]}))
    return path


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A small random model, training questions, and bounds that every variant keeps."""
    folder = tmp_path_factory.mktemp("choice")
    return Recipe(
        model=str(sources.write("bert", folder / "source")),
        output=folder / "root",
        train_data=write_squad(folder / "train.json", QUESTIONS[3:]),
        dataset=write_squad(folder / "gate.json", QUESTIONS[:3]),
        serving=Serving(null_score_diff_threshold=None),
        tolerances=Tolerances(max_f1_drop=100.0, min_span_agreement=0.0),
        measurement=Measurement(sequence_lengths=(8, 48), rounds=2),
    )


def run(recipe, **changes):
    with Progress() as progress:
        folder = build(replace(recipe, **changes), progress)
    return folder, json.loads((folder / "report.json").read_text())


def test_the_best_variant_by_the_rule_is_served(recipe):
    folder, report = run(recipe)
    chosen = report["choice"]
    candidates = [Candidate(**c) for c in chosen["candidates"]]
    assert [c.name for c in candidates] == [
        "int8", "int8-embeddings", "int8-asymmetric", "int8-asymmetric-embeddings",
        "int8-static", "int8-static-embeddings",
    ]  # fmt: skip
    assert all(c.scores and c.p50_ms and c.size_bytes and not c.refused for c in candidates)
    assert report["served"] == choice.order(candidates)[0].name
    assert chosen["reason"].startswith(report["served"])
    # One of the six questions is calibrated on.
    assert (chosen["questions"], chosen["length"]) == (5, 48)
    assert load_spec(folder).precision == "int8"
    text = (folder / "report.md").read_text()
    assert chosen["reason"] in text
    rows = [
        line
        for line in text.splitlines()
        if line.startswith("| int8") and "within the bound" in line
    ]
    assert len(rows) == len(candidates)
    assert [s["name"] for s in report["steps"]][-2:] == ["graph", report["served"]]
    Engine.load(folder).answer(QUESTIONS)


def test_what_misses_the_bound_is_tried_with_products_in_fp32_and_then_left(recipe, tmp_path):
    strict = replace(recipe.tolerances, max_f1_drop=-100.1, strict_gate=True)
    folder, report = run(recipe, output=tmp_path, dataset=None, tolerances=strict)
    candidates = report["choice"]["candidates"]
    # A quarter of the three products of each layer with its Attention, and of the head.
    assert [c["name"] for c in candidates[6:]] == ["int8-1-fp32", "int8-2-fp32", "int8-3-fp32"]
    assert all("below that of pruned" in c["refused"] for c in candidates)
    assert [bool(c["p50_ms"]) for c in candidates] == [True] * 6 + [False] * 3
    assert (report["served"], load_spec(folder).precision) == ("graph", "fp32")
    assert "no variant keeps F1 within its bound" in report["choice"]["reason"]


def test_without_training_data_nothing_is_calibrated(recipe, tmp_path):
    _, report = run(recipe, output=tmp_path, train_data=None, fast_gelu=True)
    names = {c["name"] for c in report["choice"]["candidates"]}
    assert len(names) == 8
    assert not any("static" in name for name in names)
    assert "int8-asymmetric-embeddings-fast-gelu" in names
    assert "gate.json, which is the last gate's too" in report["choice"]["sample"]


def test_the_training_data_are_part_of_the_build(recipe, tmp_path):
    def build_id(**changes):
        return replace(recipe, **changes).build_id({"model": "1"})

    other = write_squad(tmp_path / "other.json", QUESTIONS[4:])
    same = write_squad(tmp_path / "same.json", QUESTIONS[3:])
    assert build_id() == build_id(train_data=same)
    changes = (
        {"train_data": other}, {"train_data": None}, {"choice_sample": 7}, {"fast_gelu": True},
        {"calibration_sample": 7}, {"calibration": "entropy"}, {"measurement": Measurement((8,))},
    )  # fmt: skip
    assert len({build_id(), *(build_id(**change) for change in changes)}) == len(changes) + 1
    assert build_id() == build_id(measurement=Measurement((16, 48), rounds=3))


def test_too_few_training_questions_are_refused_before_the_work(recipe, tmp_path):
    train = write_squad(tmp_path / "one.json", QUESTIONS[3:4])
    with pytest.raises(SourceError, match="need two questions"):
        run(recipe, output=tmp_path / "root", train_data=train)
    with pytest.raises(SourceError, match="for int8, which is not asked for"):
        run(recipe, output=tmp_path / "root", precision="fp32")
    assert not (tmp_path / "root").exists()


def test_the_verb_makes_every_variant_and_refuses_contradictions(recipe, fp32, tmp_path):
    train = ("--train-data", recipe.train_data)
    quantize = ("quantize", "--model-dir", fp32, "--output", tmp_path / "out")
    for options in (("--keep-head",), ("--static", *train)):
        result = optimize(*quantize, "--fp16", *options)
        assert result.returncode == 1
        assert "none of int8's options" in one_error_line(result)
    assert not (tmp_path / "out").exists()
    every = ("--static", *train, "--quantize-embeddings", "--keep-head", "--fast-gelu")
    result = optimize(*quantize, "--asymmetric", "--calibration", "entropy", *every)
    assert result.returncode == 0, result.stderr
    assert "fp32: head, normalizations" in result.stderr
    engine = Engine.load(tmp_path / "out")
    (result,), _ = engine.answer([QUESTIONS[0]])
    (expected,), _ = Engine.load(fp32).answer([QUESTIONS[0]])
    assert result.answers[0].text == expected.answers[0].text


def test_training_questions_are_not_the_gate_s(recipe, tmp_path):
    train = write_squad(tmp_path / "train.json", QUESTIONS[2:])
    with pytest.raises(SourceError, match="holds 1 of the questions of --dataset"):
        run(recipe, train_data=train)
