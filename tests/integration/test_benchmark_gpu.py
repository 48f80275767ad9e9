"""`python -m benchmarks.gpu` on a CPU: all of it but what needs CUDA, which is not guessed."""

import json

import numpy as np
import onnxruntime as ort
import pytest

from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu import models as gpu_models
from benchmarks.gpu.models import BOUND, GRAPH, PLAIN, TORCH_FP32
from predictor.sessions.providers import CUDA


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    arguments = ["--device", "cpu", "--quick", "--models", "embedded", "tiny-compacted"]
    assert gpu.main([*arguments, "--output", str(folder)]) == 0
    return folder


def test_what_a_cpu_can_run_is_measured_and_the_rest_is_absent(output):
    results = json.loads((output / "results.json").read_text())
    assert [model["name"] for model in results["models"]] == ["embedded", "tiny-compacted"]
    for model in results["models"]:
        assert set(model["latency"]) == {TORCH_FP32, PLAIN, BOUND}
        for found in model["latency"].values():
            assert set(found) == {"8", "64", "128"}
            assert all(0 < at["p50_ms"] <= at["p99_ms"] for at in found.values())
        assert set(model["throughput"]) == {"1", "4"}
    assert results["models"][1]["layers"] == [[3, 104], [1, 48]]
    assert results["machine"]["onnxruntime"]


def test_checks_are_made_or_said_to_be_open(output):
    results = json.loads((output / "results.json").read_text())
    checks = {check["name"]: check["passed"] for check in results["checks"]}
    assert checks == {
        "fp16 answers as fp32": True,
        "CUDA graph as no graph": None,
        "IOBinding as plain run": True,
        "attention is fused": None,
    }


def test_the_tables_say_what_was_not_measured(output):
    lines = (output / "results.md").read_text().splitlines()
    head = next(line for line in lines if line.startswith("| tokens |"))
    column = head.split("|").index(f" {GRAPH} ")
    rows = [line for line in lines if line.startswith(("| 8 ", "| 128 ", "| 128 × 4"))]
    assert len(rows) == 2 * (3 * 2 + 2)
    assert {row.split("|")[column].strip() for row in rows} == {"not measured"}
    assert any("says nothing about speed" in line for line in lines)


@pytest.mark.skipif(CUDA in ort.get_available_providers(), reason="ONNX Runtime has CUDA here")
def test_without_cuda_it_says_so(tmp_path, capsys):
    assert gpu.main(["--output", str(tmp_path)]) == 1
    assert "CUDAExecutionProvider is not available here" in capsys.readouterr().err


def test_pytorch_in_fp16_is_near_fp32(tmp_path):
    built = gpu_models.build("tiny", tmp_path, "cpu")
    half, full = (gpu_models.load_torch(built, "cpu", p, 4096) for p in ("fp16", "fp32"))
    (word,) = np.random.default_rng(0).integers(1000, 20000, (1, 1, 40))
    batch = {"input_ids": word, "attention_mask": word * 0 + 1, "token_type_ids": word * 0}
    ours, theirs = half.session.run(batch).start, full.session.run(batch).start
    assert ours.dtype == np.float32
    assert 0 < np.abs(ours - theirs).max() < 1e-2
