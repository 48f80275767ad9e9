"""`optimize build` from the embedded checkpoint: what it publishes, and what it refuses."""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from onnxruntime import InferenceSession
from optimum.onnxruntime import ORTModelForQuestionAnswering
from safetensors.torch import load_file, save_file
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

from optimize.build import build
from optimize.errors import GateFailed
from optimize.evaluation.evaluate import session_for
from optimize.graph import quantize
from optimize.progress import Progress
from optimize.recipe import Measurement, Recipe, Tolerances
from optimize.source import compaction
from predictor.artifact import load_spec
from predictor.engine import Engine
from predictor.types import Question
from tests.conftest import ROOT

CONTEXT = (
    "The first little pig built a house of straw. The second little pig worked a little bit harder "
    "and built a house of sticks. Then they sang and danced and played together all day."
)
QUESTIONS = [
    Question(q, CONTEXT)
    for q in (
        "Who worked a little bit harder?",
        "What did the first little pig build his house of?",
        "How long did they play?",
        "Who was the president of France?",
    )
]


def optimize(*arguments, timeout=300, **environment):
    return subprocess.run(
        [sys.executable, "-m", "optimize", *map(str, arguments)],
        env=os.environ | {name: str(value) for name, value in environment.items()},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def one_error_line(result):
    assert "Traceback" not in result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("optimize: error:")]
    return line


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


def test_fp16_answers_as_fp32_does(built):
    folder = built("fp16") / "qa" / "1"
    spec = load_spec(folder)
    assert (spec.precision, spec.target) == ("fp16", "cuda")
    assert spec.files["model.onnx"].size < 0.52 * (built("fp32") / "qa/1/model.onnx").stat().st_size
    engine = Engine.load(folder, provider="CPUExecutionProvider")
    reference = Engine.load(built("fp32") / "qa" / "1")
    for ours, theirs in zip(
        engine.answer(QUESTIONS)[0], reference.answer(QUESTIONS)[0], strict=True
    ):
        assert ours.answers[0].text == theirs.answers[0].text
        assert ours.null_score_diff == pytest.approx(theirs.null_score_diff, abs=0.05)


def test_fp16_answers_as_fp32_does_on_real_questions(built, squad2_dev):
    from optimize.data import squad
    from optimize.evaluation.evaluate import predict

    examples = squad.read(squad2_dev)[::60]
    engine = Engine.load(built("fp16") / "qa" / "1", provider="CPUExecutionProvider")
    ours = predict(engine, examples)
    theirs = predict(Engine.load(built("fp32") / "qa" / "1"), examples)
    same = sum(ours[e.id].best == theirs[e.id].best for e in examples)
    assert len(examples) > 100
    assert same >= 0.98 * len(examples)


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


def test_full_disks_are_one_line_and_leave_nothing(checkpoint, mount, tmp_path):
    """The output has room for the baseline alone, the scratch folder for a step or two."""
    short = ("--precision", "fp32", "--rounds", "1", "--sequence-lengths", "8")
    root = mount("size=100m")
    result = optimize("build", "--model", checkpoint, "--output", root, *short)
    assert result.returncode == 1
    line = f"{root / 'qa' / '1'}: cannot be written (No space left on device)"
    assert one_error_line(result) == f"optimize: error: {line}"
    assert list(root.iterdir()) == []
    for precision in ("fp32", "auto"):
        # The steps before int8 fill three quarters of it.
        scratch = mount("size=120m" if precision == "fp32" else "size=400m")
        output = tmp_path / "out"
        result = optimize(
            "build", "--model", checkpoint, "--output", output, *short, "--precision", precision,
            TMPDIR=scratch,
        )  # fmt: skip
        assert result.returncode == 1
        assert "no space left for the steps" in one_error_line(result)
        assert list(scratch.glob("optimize-*")) == []
        assert not output.exists()


def test_a_failed_gate_publishes_nothing(checkpoint, tmp_path):
    result = optimize(
        "build", "--model", checkpoint, "--output", tmp_path / "root", "--precision", "int8",
        "--min-span-agreement", "1.01",
    )  # fmt: skip
    assert result.returncode == 3
    assert "int8-asymmetric: " in one_error_line(result)
    assert not (tmp_path / "root").exists()


def test_auto_falls_back_where_a_gate_fails(checkpoint, tmp_path):
    result = optimize(
        "build", "--model", checkpoint, "--output", tmp_path, "--rounds", "1",
        "--sequence-lengths", "8", "--min-span-agreement", "1.01",
    )  # fmt: skip
    assert result.returncode == 0
    assert load_spec(tmp_path / "qa" / "1").precision == "fp32"
    assert "- not served: int8 (" in result.stdout


def in_process(checkpoint, root, **changes):
    short = Measurement(sequence_lengths=(8,), rounds=1)
    recipe = Recipe(model=str(checkpoint), output=root, measurement=short, **changes)
    with Progress() as progress:
        return build(recipe, progress)


def test_a_wrong_compaction_is_not_published(checkpoint, tmp_path, monkeypatch):
    compact = compaction.compact

    def wrong(state, config, **options):
        compacted = compact(state, config, **options)
        compacted.state["qa_outputs.weight"] = compacted.state["qa_outputs.weight"] * -3
        return compacted

    monkeypatch.setattr(compaction, "compact", wrong)
    for baseline in (None, str(checkpoint)):
        with pytest.raises(GateFailed, match="pruned: logits differ"):
            in_process(checkpoint, tmp_path / "root", baseline=baseline)
    assert not (tmp_path / "root").exists()


def test_auto_falls_back_where_a_step_does_not_run(checkpoint, tmp_path, monkeypatch):
    def broken(source, path, variant, ranges):
        if variant.asymmetric:
            raise ValueError("no such operator")
        path.write_bytes(b"no model")

    monkeypatch.setattr(quantize, "to_int8", broken)
    folder = in_process(checkpoint, tmp_path)
    assert load_spec(folder).precision == "fp32"
    rejected = json.loads((folder / "report.json").read_text())["rejected"]
    assert set(rejected) == {"int8", "int8-asymmetric"}
    with pytest.raises(GateFailed, match="int8-asymmetric: cannot be made"):
        in_process(checkpoint, tmp_path, precision="int8", version=2)


def test_bad_arguments_leave_nothing(checkpoint, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    cases = {
        "does not exist": ("--model", tmp_path / "nowhere", "--output", tmp_path / "out"),
        "no config.json": ("--model", empty, "--output", tmp_path / "out"),
        "not a SQuAD file": (
            "--model", checkpoint, "--output", tmp_path / "out",
            "--dataset", checkpoint / "config.json",
        ),
        "cannot be written": ("--model", checkpoint, "--output", "/proc/nowhere"),
        "name": ("--model", checkpoint, "--output", tmp_path / "out", "--name", ".."),
    }  # fmt: skip
    for message, arguments in cases.items():
        result = optimize("build", *arguments)
        assert result.returncode in (1, 2)
        assert message in one_error_line(result)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "option",
    [
        ("--threads", "-1"),
        ("--doc-stride", "-5"),
        ("--max-seq-length", "4"),
        ("--opset", "99"),
        ("--null-threshold", "inf"),
        ("--max-f1-drop", "nan"),
        ("--version", "0"),
        ("--sequence-lengths", "8,x"),
    ],
)
def test_options_out_of_range_are_refused_at_once(option, tmp_path):
    result = optimize("build", "--model", "m", "--output", tmp_path, *option, timeout=30)
    assert result.returncode == 2
    assert option[0] in result.stderr.splitlines()[-1]


def test_a_masked_checkpoint_becomes_smaller_and_answers_the_same(checkpoint, tmp_path):
    """Zeroed heads and neurons, uneven over the layers, as block pruning leaves them."""
    masked = tmp_path / "masked"
    shutil.copytree(checkpoint, masked)
    state = load_file(masked / "model.safetensors")
    for layer, (heads, neurons) in enumerate(((3, 1000), (0, 0), (7, 401), (11, 1530), (1, 8))):
        prefix = f"bert.encoder.layer.{layer}."
        state[prefix + "attention.self.value.weight"][: heads * 32] = 0
        state[prefix + "intermediate.dense.weight"][:neurons] = 0
    save_file(state, masked / "model.safetensors", metadata={"format": "pt"})

    folder = in_process(masked, tmp_path / "root", precision="fp32", baseline=str(checkpoint))

    spec = load_spec(folder)
    assert [shape.heads for shape in spec.layers] == [9, 12, 5, 1, 11, 12]
    assert [shape.feed_forward for shape in spec.layers] == [536, 1536, 1136, 8, 1528, 1536]
    assert 0.6 < spec.density < 0.8
    dense = tmp_path / "root" / "qa-baseline" / "1" / "model.safetensors"
    assert spec.files["model.onnx"].size < 0.9 * dense.stat().st_size
    report = json.loads((folder / "report.json").read_text())
    steps = {step["name"]: step for step in report["steps"]}
    assert steps["graph"]["notes"]["fused operators"]["Attention"] == 6
    assert steps["pruned"]["parity"]["max_logit_difference"] < 1e-3
    assert steps["baseline"]["density"] == 1.0
    # The masked checkpoint, uncompacted, in plain transformers.
    model = AutoModelForQuestionAnswering.from_pretrained(masked, dtype=torch.float32).eval()
    batch = AutoTokenizer.from_pretrained(masked)(
        QUESTIONS[0].question, CONTEXT, return_tensors="pt"
    )
    with torch.inference_mode():
        expected = model(**batch).start_logits[0].numpy()
    engine = Engine.load(folder)
    assert np.allclose(engine.run(engine.prepare(QUESTIONS[:1]))[0].start, expected, atol=1e-3)


def test_a_smaller_checkpoint_is_told_from_its_dense_parent(checkpoint, tmp_path):
    """Matrices cut already, in half precision, with the parent's config.json: nothing is zero."""
    smaller = tmp_path / "smaller"
    shutil.copytree(checkpoint, smaller)
    state = load_file(smaller / "model.safetensors")
    for layer, (heads, neurons) in enumerate(((3, 512), (11, 1528))):
        prefix = f"bert.encoder.layer.{layer}."
        for name in ("query", "key", "value"):
            for part in ("weight", "bias"):
                key = f"{prefix}attention.self.{name}.{part}"
                state[key] = state[key][heads * 32 :].clone()
        for part in ("weight", "bias"):
            key = f"{prefix}intermediate.dense.{part}"
            state[key] = state[key][neurons:].clone()
        for name, first in (("attention.output", heads * 32), ("output", neurons)):
            key = f"{prefix}{name}.dense.weight"
            state[key] = state[key][:, first:].clone()
    save_file(state, smaller / "model.safetensors", metadata={"format": "pt"})

    folder = in_process(smaller, tmp_path / "root", precision="fp32", baseline=str(checkpoint))

    spec = load_spec(folder)
    assert [shape.heads for shape in spec.layers] == [9, 1, 12, 12, 12, 12]
    assert [shape.feed_forward for shape in spec.layers] == [1024, 8, 1536, 1536, 1536, 1536]
    # Of 12 units a layer, 4 are attention's and 8 the feed-forward network's.
    left = 4 * (9 + 1) / 12 + 8 * (1024 + 8) / 1536 + 4 * 12
    assert spec.density == pytest.approx(left / 72)
    report = json.loads((folder / "report.json").read_text())
    steps = {step["name"]: step for step in report["steps"]}
    assert steps["baseline"]["density"] == 1.0
    assert steps["pruned"]["density"] == steps["graph"]["density"] == spec.density
    assert steps["pruned"]["parity"]["max_logit_difference"] == 0.0
    assert steps["pruned"]["size_bytes"] < steps["baseline"]["size_bytes"]


@pytest.fixture(scope="session")
def averaging(checkpoint, tmp_path_factory):
    """The embedded checkpoint with one head whose key is zero, so that it averages its values."""
    folder = tmp_path_factory.mktemp("averaging") / "model"
    shutil.copytree(checkpoint, folder)
    state = load_file(folder / "model.safetensors")
    state["bert.encoder.layer.2.attention.self.key.weight"][:32] = 0
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_a_head_that_averages_stays(averaging, tmp_path):
    folder = in_process(averaging, tmp_path, precision="fp32")
    assert {shape.heads for shape in load_spec(folder).layers} == {12}
    assert "heads with a zero query or key, left" in (folder / "report.md").read_text()


@pytest.mark.parametrize("baseline", [False, True])
def test_a_head_that_averages_leaves_where_losses_are_allowed(
    averaging, checkpoint, tmp_path, baseline
):
    changes = {"precision": "fp32", "allow_lossy": True}
    if baseline:
        changes["baseline"] = str(checkpoint)
    folder = in_process(averaging, tmp_path / "root", **changes)
    assert [shape.heads for shape in load_spec(folder).layers] == [12, 12, 11, 12, 12, 12]
    report = json.loads((folder / "report.json").read_text())
    pruned = next(step for step in report["steps"] if step["name"] == "pruned")
    assert pruned["notes"] == {"heads with a zero query or key, removed with loss": 1}
    assert pruned["parity"]["max_logit_difference"] > 1e-3
    with pytest.raises(GateFailed, match="pruned: .* of the answers"):
        in_process(
            averaging, tmp_path / "other", tolerances=Tolerances(min_span_agreement=1.01), **changes
        )


def test_a_loss_of_f1_is_gated(averaging, checkpoint, tmp_path):
    whole = json.loads((ROOT / "demo" / "data" / "questions.json").read_text())
    data = tmp_path / "few.json"
    data.write_text(json.dumps(whole | {"data": whole["data"][:1]}))
    with pytest.raises(GateFailed, match="pruned: F1 .* below the original step's"):
        in_process(
            averaging, tmp_path, precision="fp32", allow_lossy=True, baseline=str(checkpoint),
            dataset=data, tolerances=Tolerances(max_f1_drop=-100.0, min_span_agreement=0.0),
        )  # fmt: skip
    assert not (tmp_path / "qa").exists()
