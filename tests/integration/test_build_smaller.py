"""Builds of checkpoints with zeros, cut matrices, and heads that leave with a loss."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

from optimize.errors import GateFailed
from optimize.recipe import Tolerances
from predictor.artifact import load_spec
from predictor.engine import Engine
from tests.conftest import ROOT
from tests.integration.building import CONTEXT, QUESTIONS, in_process


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
    with pytest.raises(GateFailed, match="pruned: F1 .* below that of original"):
        in_process(
            averaging, tmp_path, precision="fp32", allow_lossy=True, baseline=str(checkpoint),
            dataset=data, tolerances=Tolerances(
                max_f1_drop=-100.0, min_span_agreement=0.0, strict_gate=True
            ),
        )  # fmt: skip
    assert not (tmp_path / "qa").exists()
