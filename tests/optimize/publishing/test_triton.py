"""The Triton model repository: configurations that Triton parses, published as artifacts are."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from optimize.errors import PublishError, WriteError
from optimize.publishing import publish, triton
from predictor.artifact import load_spec, read_spec
from tests.optimize.publishing.publishers import publish_artifact

CONFIGS = Path(__file__).with_name("model_configs.py")


def parsed(*paths):
    """The configurations as Triton's own messages hold them."""
    command = [sys.executable, CONFIGS, *paths]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def put(make_artifact, tmp_path):
    """Publishes an artifact to `<tmp>/root/qa/<version>`; the folder."""

    def put(version=1, **changes):
        source = make_artifact(
            f"source-{len(list(tmp_path.iterdir()))}", version=version, **changes
        )
        folder = publish.target(tmp_path / "root", "qa", version)
        publish_artifact(source, read_spec(source), folder, {"report.md": ""})
        return folder

    return put


def files(root):
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_the_repository(put, tmp_path):
    artifact = put()
    triton.publish(artifact, instances=1)
    repository = tmp_path / "root" / "triton"
    version = {"1/model.onnx", "1/tokenizer.json", "1/artifact.json"}
    assert files(repository) == {
        f"{model}/{file}" for model in ("qa", "qa-batched") for file in ({"config.pbtxt"} | version)
    }
    for model in ("qa", "qa-batched"):
        assert load_spec(repository / model / "1") == load_spec(artifact)
        assert (repository / model / "1" / "model.onnx").samefile(artifact / "model.onnx")


@pytest.mark.parametrize(
    ("target", "instances", "inputs"),
    [
        ("cpu", 1, ("input_ids", "attention_mask", "token_type_ids")),
        ("cuda", 3, ("input_ids", "attention_mask")),
    ],
)
def test_triton_parses_what_was_meant(put, tmp_path, target, instances, inputs):
    triton.publish(put(target=target, inputs=inputs), instances=instances)
    models = ("qa", "qa-batched")
    configs = parsed(*(tmp_path / "root" / "triton" / m / "config.pbtxt" for m in models))
    for model, config in zip(models, configs, strict=True):
        batched = model == "qa-batched"
        dims = ["-1"] if batched else ["-1", "-1"]
        assert config["name"] == model
        assert config["backend"] == "onnxruntime"
        assert config["max_batch_size"] == (32 if batched else 0)
        assert [(i["name"], i["data_type"], i["dims"]) for i in config["input"]] == [
            (name, "TYPE_INT64", dims) for name in inputs
        ]
        assert [(o["name"], o["data_type"], o["dims"]) for o in config["output"]] == [
            (name, "TYPE_FP32", dims) for name in ("start_logits", "end_logits")
        ]
        (group,) = config["instance_group"]
        assert group["count"] == instances
        assert group["kind"] == ("KIND_GPU" if target == "cuda" else "KIND_CPU")
        assert config["version_policy"] == {"all": {}}
        assert ("dynamic_batching" in config) == batched


def test_what_triton_cannot_parse_is_noticed(tmp_path):
    (tmp_path / "config.pbtxt").write_text('name: "qa"\nmax_batch: 0\n')
    with pytest.raises(AssertionError, match="max_batch"):
        parsed(tmp_path / "config.pbtxt")


def test_publishing_again_changes_nothing(put, tmp_path):
    artifact = put()
    triton.publish(artifact, instances=1)
    folders = [tmp_path / "root" / "triton" / model for model in ("qa", "qa-batched")]
    before = [(folder.stat().st_ino, folder.stat().st_mtime_ns) for folder in folders]
    triton.publish(artifact, instances=1)
    assert [(folder.stat().st_ino, folder.stat().st_mtime_ns) for folder in folders] == before


def test_another_version_joins_the_first(put, tmp_path):
    triton.publish(put(1), instances=1)
    triton.publish(put(2, build_id="2" * 64), instances=1)
    for model in ("qa", "qa-batched"):
        folder = tmp_path / "root" / "triton" / model
        assert {path.name for path in folder.iterdir()} == {"config.pbtxt", "1", "2"}
        assert load_spec(folder / "2").build_id == "2" * 64


def test_another_build_or_configuration_is_refused(put, make_artifact, tmp_path):
    artifact = put()
    triton.publish(artifact, instances=1)
    before = files(tmp_path / "root")
    with pytest.raises(PublishError, match=r"config\.pbtxt differs") as caught:
        triton.publish(artifact, instances=2)
    assert caught.value.exit_status == 2
    with pytest.raises(PublishError, match="another build"):
        triton.check(tmp_path / "root", "qa", 1, "1" * 64)
    triton.check(tmp_path / "root", "qa", 1, "0" * 64)
    triton.check(tmp_path / "root", "qa", 2, "1" * 64)
    # As where the artifact was removed and another one built in its place.
    for path in artifact.iterdir():
        path.unlink()
    with pytest.raises(PublishError, match="another build"):
        triton.publish(put(build_id="1" * 64), instances=1)
    assert files(tmp_path / "root") == before


def test_a_damaged_or_foreign_model_is_refused(put, tmp_path):
    artifact = put()
    folder = tmp_path / "root" / "triton" / "qa"
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(PublishError, match="something else"):
        triton.publish(artifact, instances=1)
    (folder / "notes.txt").unlink()
    triton.publish(artifact, instances=1)
    (folder / "1" / "model.onnx").unlink()
    with pytest.raises(PublishError, match="cannot be read"):
        triton.publish(artifact, instances=1)


def test_empty_folders_count_as_nothing(put, tmp_path):
    repository = tmp_path / "root" / "triton"
    (repository / "qa").mkdir(parents=True)
    triton.publish(put(), instances=1)
    (repository / "qa" / "2").mkdir()
    triton.publish(put(2), instances=1)
    assert load_spec(repository / "qa" / "2").version == 2


def test_a_damaged_artifact_is_not_spread(put, tmp_path):
    artifact = put()
    (artifact / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(WriteError, match=r"model\.onnx"):
        triton.publish(artifact, instances=1)
    assert files(tmp_path / "root" / "triton") == set()
