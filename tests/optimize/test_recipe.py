"""What a build is known by, and the last steps that it tries."""

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from optimize import recipe as recipes
from optimize.pruning.bound import Bound
from optimize.recipe import Measurement, Recipe, Serving, Tolerances, tool_versions


def test_auto_ends_with_fp32():
    assert Recipe(model="m", output=Path("o")).last_steps() == ("int8", "fp32")
    assert Recipe(model="m", output=Path("o"), target="cuda").last_steps() == ("fp16", "fp32")
    assert Recipe(model="m", output=Path("o"), precision="fp16").last_steps() == ("fp16",)


@pytest.mark.parametrize("runtime", ["onnxruntime", "onnxruntime-gpu"])
def test_the_installed_runtime_is_named(monkeypatch, runtime):
    def version(name):
        if name.startswith("onnxruntime") and name != runtime:
            raise PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr("importlib.metadata.version", version)
    assert [name for name in tool_versions() if "runtime" in name] == [runtime]


def test_the_build_id_is_of_what_decides_the_bytes(tmp_path):
    def build_id(**changes):
        given = {"model": "m", "output": tmp_path} | changes
        return Recipe(**given).build_id({"model": "1"})

    other = Measurement(rounds=3, threads=1)
    assert build_id() == build_id(output=tmp_path / "elsewhere", measurement=other)
    assert build_id() != build_id(precision="fp32")
    assert build_id() != build_id(serving=Serving(null_score_diff_threshold=-1.0))
    assert build_id() != build_id(tolerances=Tolerances(max_f1_drop=2.0))
    data = tmp_path / "d.json"
    data.write_text("1")
    first = build_id(dataset=data)
    data.write_text("2")
    assert len({build_id(), first, build_id(dataset=data)}) == 3


def test_what_was_published_stays_known(tmp_path, monkeypatch):
    """Were other things hashed, or by other names, every published build would be another one."""
    monkeypatch.setattr(recipes, "tool_versions", lambda: {"spanserve": "1"})
    data, train = tmp_path / "d.json", tmp_path / "t.json"
    data.write_text("1")
    train.write_text("2")
    plain = Recipe(model="m", output=tmp_path)
    dense = Recipe(
        model="m", output=tmp_path, target="cuda", prune=Bound("density", 0.5, 384),
        measurement=Measurement(threads=2),
    )  # fmt: skip
    every = Recipe(
        model="m", output=tmp_path, revision="main", baseline="b", baseline_revision="x",
        prune=Bound("latency", 20.0, 128), prune_sample=7, precision="int8", dataset=data,
        train_data=train, choice_sample=8, calibration_sample=9, calibration="entropy",
        fast_gelu=True, name="n", version=2, opset=17, allow_lossy=True, allow_unfused=True,
        triton=True, triton_instances=2, half=True, keep_steps=tmp_path,
        serving=Serving(None, 128, doc_stride=64, n_best_size=5, max_answer_length=9),
        tolerances=Tolerances(0.5, 1.5, parity_tolerance=1e-3, min_span_agreement=0.9),
        measurement=Measurement((8, 64), rounds=3, threads=2),
    )  # fmt: skip
    assert [
        recipe.build_id({"model": "1", "baseline": "2"}) for recipe in (plain, dense, every)
    ] == [
        "33dfc90483ef42fe9159210972e4330cf01bf6451afab23d8f00318a602b34d8",
        "0d4c52fa074196b18e587213dd7bde3bc730d9ab249e19fe54509358d9fbd45d",
        "56f4791c36395b4acee69aff5012bea44a39055e103925f741f603113f0911b3",
    ]
