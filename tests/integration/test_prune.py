"""Pruning as a verb and as a part of a build: gated, reported, and nothing where it fails."""

import json
from dataclasses import replace

import pytest

from optimize.__main__ import main
from optimize.build import build
from optimize.data import squad
from optimize.errors import GateFailed, SourceError
from optimize.evaluation.parity import QUESTIONS
from optimize.progress import Progress
from optimize.pruning import sequences
from optimize.pruning.bound import Bound
from optimize.recipe import Measurement, Recipe, Serving, Tolerances
from predictor.artifact import load_spec
from tests.integration.test_choice import write_squad
from tests.optimize.source import sources


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A small random model that is pruned, and bounds that it keeps."""
    folder = tmp_path_factory.mktemp("prune")
    return Recipe(
        model=str(sources.write("bert", folder / "source")),
        output=folder / "root",
        prune=Bound("density", 0.6),
        train_data=write_squad(folder / "train.json", QUESTIONS[3:]),
        dataset=write_squad(folder / "gate.json", QUESTIONS[:3]),
        precision="fp32",
        serving=Serving(null_score_diff_threshold=None),
        tolerances=Tolerances(max_f1_drop=100.0, max_pruning_f1_drop=100.0),
        measurement=Measurement(sequence_lengths=(8, 48), rounds=2, threads=1),
    )


def run(recipe):
    with Progress() as progress:
        folder = build(recipe, progress)
    return folder, json.loads((folder / "report.json").read_text())


def test_a_build_prunes_and_says_what_it_did(recipe):
    folder, report = run(recipe)
    baseline, pruned, *later = report["steps"]
    assert baseline["density"] == 1
    assert 0.5 < pruned["density"] <= 0.6
    assert [step["density"] for step in later] == [pruned["density"]] * 2
    assert pruned["notes"]["pruned to"] == "density 0.6"
    assert pruned["notes"]["pruned on"] == "6 questions"
    spec = load_spec(folder)
    assert spec.density == pruned["density"]
    text = " ".join(f"{layer.heads}/{layer.feed_forward}" for layer in spec.layers)
    assert pruned["notes"]["heads/neurons kept"] == text
    assert f"- pruned: heads/neurons kept: {text}" in (folder / "report.md").read_text()


def test_it_is_found_again(recipe, caplog):
    run(recipe)
    with caplog.at_level("INFO", "optimize"):
        run(recipe)
    assert "is published already, and whole" in caplog.text


def test_a_loss_above_the_bound_publishes_nothing(recipe, tmp_path):
    tolerances = replace(recipe.tolerances, max_pruning_f1_drop=-0.5, strict_gate=True)
    strict = replace(recipe, output=tmp_path / "root", tolerances=tolerances)
    with pytest.raises(
        GateFailed, match=r"^pruned: F1 .* below that of baseline; the bound is -0.5"
    ):
        run(strict)
    assert not list((tmp_path / "root").rglob("artifact.json"))


def test_without_a_data_set_answers_are_gated(recipe, tmp_path):
    tolerances = replace(recipe.tolerances, min_span_agreement=1.01)
    blind = replace(recipe, output=tmp_path / "root", dataset=None, tolerances=tolerances)
    with pytest.raises(GateFailed, match=r"^pruned: .* of the answers are those of the step befor"):
        run(blind)


def test_pruning_needs_training_questions(recipe, tmp_path):
    with pytest.raises(SourceError, match="^density 0.6: pruning needs --train-data$"):
        run(replace(recipe, output=tmp_path / "root", train_data=None))


def test_what_a_variant_is_chosen_on_is_not_pruned_on(recipe):
    train = squad.read(recipe.train_data)
    drawn = sequences.questions(train, 9, unanswerable=False, others=train[:2])
    assert {q.question for q in drawn} == {e.question for e in train[2:]}


def test_a_third_of_the_questions_has_no_answer_where_there_is_another_paragraph(tmp_path):
    train = squad.read(write_squad(tmp_path / "train.json", QUESTIONS))
    asked = {(e.question, e.context) for e in train}
    drawn = sequences.questions(train, 9, unanswerable=True)
    assert sum((q.question, q.context) not in asked for q in drawn) == 3


def test_the_verb_makes_an_artifact_that_the_next_verbs_take(recipe, tmp_path, caplog):
    common = ["--null-threshold", "none", "--threads", "1", "--train-data", str(recipe.train_data)]
    with caplog.at_level("INFO", "optimize"):
        status = main(
            ["prune", "--model", recipe.model, "--prune-to-flops", "0.6", "--prune-length", "40",
             "--output", str(tmp_path / "pruned"), *common]
        )  # fmt: skip
    assert status == 0
    assert "prune: pruned to: flops 0.6 at 40 tokens" in caplog.text
    spec = load_spec(tmp_path / "pruned")
    assert spec.density < 0.7
    assert spec.null_score_diff_threshold is None
    again = ["prune", "--model", str(tmp_path / "pruned"), "--prune-to", "0.4"]
    assert main([*again, "--output", str(tmp_path / "again"), *common]) == 0
    assert load_spec(tmp_path / "again").density <= 0.4
    export = ["export", "--model-dir", str(tmp_path / "again"), "--output", str(tmp_path / "onnx")]
    assert main(export) == 0
    assert load_spec(tmp_path / "onnx").layers == load_spec(tmp_path / "again").layers


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "one of the arguments --prune-to --prune-to-flops --target-latency-ms is required"),
        (["--prune-to", "0"], "'0' is no share above 0, at most 1"),
        (["--prune-to", "1.2"], "'1.2' is no share above 0, at most 1"),
        (["--target-latency-ms", "-1"], "'-1' is not above 0"),
        (["--prune-to", "0.5", "--prune-to-flops", "0.5"], "not allowed with argument"),
    ],
)
def test_wrong_bounds_are_refused(options, message, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["prune", "--model", "m", "--train-data", "t", "--output", "o", *options])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
