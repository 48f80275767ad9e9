"""`optimize build` from the embedded checkpoint: what it publishes, and finds again."""

import json
import re

import numpy as np
from onnxruntime import InferenceSession
from optimum.onnxruntime import ORTModelForQuestionAnswering
from transformers import AutoTokenizer

from optimize.evaluation.evaluate import session_for
from predictor.artifact import load_spec
from predictor.engine import Engine
from tests.integration.building import CONTEXT, QUESTIONS, one_error_line, optimize
from tests.optimize.source import sources


def test_the_artifact_is_whole_and_loads_with_optimum_too(fp32):
    spec = load_spec(fp32)
    assert (spec.format, spec.precision, spec.density) == ("onnx", "fp32", 1.0)
    assert {shape.heads for shape in spec.layers} == {12}
    assert "fused operators" in (fp32 / "report.md").read_text()
    model = ORTModelForQuestionAnswering.from_pretrained(fp32)
    tokenizer = AutoTokenizer.from_pretrained(fp32)
    batch = tokenizer(QUESTIONS[0].question, CONTEXT, return_tensors="np")
    engine = Engine.load(fp32)
    ours = engine.run(engine.prepare(QUESTIONS[:1]))[0]
    assert np.allclose(model(**batch).start_logits[0], ours.start, atol=1e-4)


def test_the_baseline_lies_beside_it(built):
    folder = built("fp32") / "qa-baseline" / "1"
    spec = load_spec(folder)
    assert (spec.format, spec.name) == ("torch", "qa-baseline")
    torch_answers, _ = Engine.load(folder, session=session_for("torch")).answer(QUESTIONS)
    onnx_answers, _ = Engine.load(built("fp32") / "qa" / "1").answer(QUESTIONS)
    assert [r.answers[0].text for r in torch_answers] == [r.answers[0].text for r in onnx_answers]
    assert "second little pig" in torch_answers[0].answers[0].text
    assert torch_answers[-1].answers[0].text == ""


def test_fusion_is_counted(fp32):
    report = json.loads((fp32 / "report.json").read_text())
    graph = next(step for step in report["steps"] if step["name"] == "graph")
    assert graph["notes"]["fused operators"]["Attention"] == 6
    assert graph["parity"]["max_logit_difference"] < 1e-3
    assert graph["scores"] is None


def test_the_same_build_is_found_and_another_is_refused(built, checkpoint):
    root = built("fp32")
    same = ("build", "--model", checkpoint, "--output", root, "--precision", "fp32")
    before = (root / "qa/1/artifact.json").stat().st_mtime_ns
    again = optimize(*same, "--null-threshold", "-4")
    assert again.returncode == 0
    assert "published already" in again.stderr
    other = optimize(*same, "--null-threshold", "-3")
    assert other.returncode == 2
    assert "another build" in one_error_line(other)
    assert (root / "qa/1/artifact.json").stat().st_mtime_ns == before


def test_triton_models_of_a_build_that_is_there(built, checkpoint):
    root = built("fp32")
    same = ("build", "--model", checkpoint, "--output", root, "--precision", "fp32")
    again = optimize(*same, "--null-threshold", "-4", "--triton", "--triton-instances", "2")
    assert again.returncode == 0, again.stderr
    assert "onnx: done" not in again.stderr
    repository = root / "triton"
    assert {path.name for path in repository.iterdir()} == {"qa", "qa-batched"}
    session = InferenceSession(repository / "qa" / "1" / "model.onnx")
    for model, axes in (("qa", 2), ("qa-batched", 1)):
        assert load_spec(repository / model / "1") == load_spec(root / "qa" / "1")
        config = (repository / model / "config.pbtxt").read_text()
        assert "count: 2 kind: KIND_CPU" in config
        # What Triton compares with the model when it loads it.
        for field, tensors in (("input", session.get_inputs()), ("output", session.get_outputs())):
            declared = re.findall(
                rf'^{field} .* "(\w+)" data_type: TYPE_(\w+) dims: (.*) }}$', config, re.M
            )
            types = {"tensor(int64)": "INT64", "tensor(float)": "FP32"}
            dims = "[ " + ", ".join(["-1"] * axes) + " ]"
            assert declared == [(t.name, types[t.type], dims) for t in tensors]
            assert all(list(map(type, t.shape)) == [str, str] for t in tensors)
    other = optimize(*same, "--null-threshold", "-4", "--triton")
    assert other.returncode == 2
    assert "config.pbtxt differs" in one_error_line(other)


def test_a_chart_that_cannot_be_drawn_loses_no_build(tmp_path):
    """matplotlib refuses to be imported; Jupyter, for one, sets this variable for its children."""
    source = sources.write("bert", tmp_path / "source")
    result = optimize(
        "build", "--model", source, "--output", tmp_path, "--precision", "fp32",
        "--sequence-lengths", "8", "--rounds", "1", MPLBACKEND="of-another-installation",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "report-latency.svg is left out, it cannot be drawn: " in result.stderr
    files = {path.name for path in (tmp_path / "qa" / "1").iterdir()}
    assert {"model.onnx", "report.md"} <= files
    assert not [name for name in files if name.endswith(".svg")]
    assert "## Latency by sequence length" in result.stdout
    assert "![" not in result.stdout
