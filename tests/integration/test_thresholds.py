"""A build's null thresholds, and gates of F1 that tell a loss from chance."""

import json
import re
from dataclasses import replace

import pytest
import torch

from optimize.build import build
from optimize.data import squad
from optimize.errors import GateFailed, SourceError
from optimize.progress import Progress
from optimize.recipe import AUTO, Measurement, Recipe, Serving, Tolerances
from predictor.artifact import load_spec
from predictor.engine import Engine
from predictor.types import Question
from tests.optimize.source import sources

WORDS = [
    "harbour",
    "piers",
    "lighthouse",
    "engineers",
    "yeast",
    "dough",
    "bread",
    "gas",
    "flood",
    "stone",
]


def write_questions(path, paragraphs, seed):
    """Questions of which every third has no answer, two to a paragraph of its own."""
    draw = torch.Generator().manual_seed(seed)
    articles = []
    for number in range(paragraphs):
        order = torch.randperm(len(WORDS), generator=draw).tolist()
        context = f"{number + seed * 1000} " + " ".join(WORDS[i] for i in order)
        qas = [
            {
                "id": f"{seed}-{number}-{i}",
                "question": f"Where is the {WORDS[order[i]]}?",
                "answers": [
                    {"text": WORDS[order[i]], "answer_start": context.index(WORDS[order[i]])}
                ],
                "is_impossible": (2 * number + i) % 3 == 0,
            }
            for i in range(2)
        ]
        for qa in qas:
            if qa["is_impossible"]:
                qa["answers"] = []
        articles.append({"title": f"t{number}", "paragraphs": [{"context": context, "qas": qas}]})
    path.write_text(json.dumps({"data": articles}))
    return path


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("thresholds")
    return Recipe(
        model=str(sources.write("bert", folder / "source")),
        output=folder / "root",
        dataset=write_questions(folder / "gate.json", 12, seed=1),
        train_data=write_questions(folder / "choice.json", 20, seed=2),
        calibration_sample=8,
        serving=Serving(null_score_diff_threshold=AUTO),
        tolerances=Tolerances(max_f1_drop=100.0, min_span_agreement=0.0),
        measurement=Measurement(sequence_lengths=(8,), rounds=1),
    )


def run(recipe, **changes):
    with Progress() as progress:
        folder = build(replace(recipe, **changes), progress)
    return folder, json.loads((folder / "report.json").read_text())


def test_every_step_that_changes_answers_has_a_threshold_of_its_own(recipe, tmp_path):
    folder, report = run(recipe, output=tmp_path)
    steps = {step["name"]: step["threshold"] for step in report["steps"]}
    assert steps["pruned"] == steps["onnx"] == steps["graph"]
    assert steps[report["served"]] != steps["graph"]
    served = load_spec(folder)
    assert served.null_score_diff_threshold == steps[report["served"]]
    baseline = load_spec(folder.parent.parent / "qa-baseline" / "1")
    assert baseline.null_score_diff_threshold == steps["baseline"]
    assert "choice.json" in report["conditions"]["null_score_diff_threshold"]
    # The figures are those of what is served: the engine refuses at that very threshold.
    engine = Engine.load(folder)
    for example in squad.read(recipe.dataset):
        (result,), _ = engine.answer([Question(example.question, example.context)])
        refused = result.null_score_diff > served.null_score_diff_threshold
        assert (result.answers[0].text == "") == refused


def test_without_training_data_a_third_of_the_paragraphs_is_chosen_on_and_not_judged(
    recipe, tmp_path
):
    _, report = run(recipe, output=tmp_path, train_data=None)
    assert report["conditions"]["questions"] == 16
    assert report["choice"]["questions"] == 8
    assert "a third of gate.json" in report["choice"]["sample"]
    one = write_questions(tmp_path / "one.json", 1, seed=3)
    with pytest.raises(SourceError, match="two paragraphs"):
        run(recipe, output=tmp_path / "root", train_data=None, dataset=one)
    with pytest.raises(SourceError, match="auto needs --train-data or --dataset"):
        run(recipe, output=tmp_path / "root", train_data=None, dataset=None)


def test_where_every_question_has_an_answer_none_is_refused(recipe, tmp_path):
    document = json.loads(recipe.train_data.read_text())
    for article in document["data"]:
        for paragraph in article["paragraphs"]:
            paragraph["qas"] = [qa for qa in paragraph["qas"] if qa["answers"]]
    path = tmp_path / "answered.json"
    path.write_text(json.dumps(document))
    folder, _ = run(
        recipe, output=tmp_path / "root", train_data=None, dataset=path, precision="fp32"
    )
    assert load_spec(folder).null_score_diff_threshold is None


def test_a_loss_that_may_be_chance_is_a_warning_and_strict_gates_refuse_it(
    recipe, tmp_path, caplog
):
    """A bound below any loss: whatever is lost is over it, and a few questions tell nothing."""
    bounds = replace(recipe.tolerances, max_f1_drop=-100.0)
    folder, report = run(recipe, output=tmp_path, precision="int8", tolerances=bounds)
    (served,) = (s for s in report["steps"] if s["name"] == report["served"])
    assert served["loss"]["interval"][0] <= served["loss"]["points"]
    assert re.search(r"24 questions do not tell it from chance, about \w+ would", served["warning"])
    assert load_spec(folder).figures["f1_loss"] == served["loss"]
    assert f"warning: {served['warning']}" in (folder / "report.md").read_text()
    assert served["warning"] in caplog.text
    with pytest.raises(GateFailed, match="do not tell it from chance"):
        run(
            recipe,
            output=tmp_path / "strict",
            precision="int8",
            tolerances=replace(bounds, strict_gate=True),
        )
    assert not (tmp_path / "strict" / "qa").exists()


def spoil(model):
    """Weights that int8 needs all its steps for, of a neuron that is never active."""
    layer = model.bert.encoder.layer[1]
    with torch.no_grad():
        layer.intermediate.dense.bias[3] = -50.0
        layer.output.dense.weight[:, 3] *= 3000


def test_where_no_whole_variant_passes_the_product_that_costs_most_stays_fp32(recipe, tmp_path):
    model = str(sources.write("bert", tmp_path / "source", change=spoil))
    bounds = replace(recipe.tolerances, min_span_agreement=0.8)
    folder, report = run(
        recipe, output=tmp_path / "root", model=model, tolerances=bounds, precision="int8"
    )
    candidates = {c["name"]: c for c in report["choice"]["candidates"]}
    assert report["served"] == "int8-1-fp32"
    assert "layer.1/output/dense" in candidates["int8-1-fp32"]["kept"]
    assert all(c["refused"] for name, c in candidates.items() if name != "int8-1-fp32")
    assert "every whole variant was refused" in report["choice"]["reason"]
    assert load_spec(folder).precision == "int8"
