"""fp16 builds: the embedded model's, and of one that leaves its range; the verbs too."""

import json

import pytest
import torch

from optimize.__main__ import main
from optimize.data import squad
from optimize.evaluation.evaluate import predict
from predictor.artifact import load_spec
from predictor.engine import Engine
from predictor.sessions.protocol import SessionOptions
from tests.integration.building import QUESTIONS
from tests.optimize.graph.test_fp16 import scale
from tests.optimize.source import sources


@pytest.fixture(scope="module")
def overflowing(tmp_path_factory):
    """A tiny BERT, one feed-forward of which goes far beyond 65504."""
    with torch.no_grad():
        return sources.write(
            "bert", tmp_path_factory.mktemp("overflowing") / "model", change=scale(1, 2.0**21)
        )


def in_fp32(notes):
    """The products that stay in fp32, and their reasons."""
    kept = notes["nodes kept in fp32"]
    return {n.split("layer.")[1]: text for n, text in kept.items() if n.endswith("/MatMul")}


@pytest.fixture(scope="module")
def published(overflowing, tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    build = ["build", "--model", str(overflowing), "--output", str(root), "--doc-stride", "8"]
    assert main([*build, "--target", "cuda", "--precision", "fp16", "--rounds", "1"]) == 0
    return root / "qa" / "1"


def test_what_stays_in_fp32_is_in_the_report(published):
    spec = load_spec(published)
    assert (spec.precision, spec.target) == ("fp16", "cuda")
    report = json.loads((published / "report.json").read_text())
    step = report["steps"][-1]
    found = in_fp32(step["notes"])
    assert set(found) == {"1/intermediate/dense/MatMul", "1/output/dense/MatMul"}
    assert all("reaches" in text for text in found.values())
    assert step["parity"]["max_logit_difference"] < 2e-2 * step["parity"]["max_logit"]
    assert step["notes"]["windows run to find them"] > 9
    markdown = (published / "report.md").read_text().splitlines()
    at = markdown.index("- fp16: nodes kept in fp32:")
    assert (
        f"  - /bert/encoder/layer.1/output/dense/MatMul: {found['1/output/dense/MatMul']}"
        in (markdown[at:])
    )


def test_the_peak_memory_of_every_step_is_reported(published):
    report = json.loads((published / "report.json").read_text())
    peaks = [step["peak_memory_so_far_mib"] for step in report["steps"]]
    assert peaks == sorted(peaks)
    assert 100 < peaks[0] <= peaks[-1] <= report["conditions"]["peak_memory_mib"]
    markdown = (published / "report.md").read_text()
    assert f"- peak_memory_mib: {report['conditions']['peak_memory_mib']}\n" in markdown


def test_the_verbs_keep_it_in_fp32_too(overflowing, tmp_path, caplog, capsys):
    def made(verb, source, name, *more):
        option = "--model" if verb == "compact" else "--model-dir"
        command = [verb, option, str(source), "--output", str(tmp_path / name), *more]
        assert main(command) == 0
        return tmp_path / name

    pruned = made("compact", overflowing, "pruned", "--doc-stride", "8")
    graph = made("fuse", made("export", pruned, "onnx"), "graph")
    half = made("quantize", graph, "fp16", "--fp16")
    assert "1/output/dense/MatMul" in caplog.text
    capsys.readouterr()
    assert main(["verify", "--model-dir", str(half), "--against", str(graph)]) == 0
    assert json.loads(capsys.readouterr().out)["relative_logit_difference"] < 2e-2


def test_fp16_answers_as_fp32_does(built):
    folder = built("fp16") / "qa" / "1"
    spec = load_spec(folder)
    assert (spec.precision, spec.target) == ("fp16", "cuda")
    assert spec.files["model.onnx"].size < 0.52 * (built("fp32") / "qa/1/model.onnx").stat().st_size
    engine = Engine.load(folder, options=SessionOptions("CPUExecutionProvider"))
    reference = Engine.load(built("fp32") / "qa" / "1")
    for ours, theirs in zip(
        engine.answer(QUESTIONS)[0], reference.answer(QUESTIONS)[0], strict=True
    ):
        assert ours.answers[0].text == theirs.answers[0].text
        assert ours.null_score_diff == pytest.approx(theirs.null_score_diff, abs=0.05)


def test_fp16_answers_as_fp32_does_on_real_questions(built, squad2_dev):
    examples = squad.read(squad2_dev)[::60]
    engine = Engine.load(built("fp16") / "qa" / "1", options=SessionOptions("CPUExecutionProvider"))
    ours = predict(engine, examples)
    theirs = predict(Engine.load(built("fp32") / "qa" / "1"), examples)
    same = sum(ours[e.id].best == theirs[e.id].best for e in examples)
    assert len(examples) > 100
    assert same >= 0.98 * len(examples)
