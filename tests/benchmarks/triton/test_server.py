"""The Triton repository for the Python backend, and what is said where there is no server."""

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.triton import server as triton_server
from optimize.publishing.triton import configs
from predictor.artifact import read_spec


@pytest.fixture
def repository(fake_artifact, tmp_path):
    root = tmp_path / "triton"
    for model, config in configs(read_spec(fake_artifact), 2).items():
        (root / model / "3").mkdir(parents=True)
        (root / model / "config.pbtxt").write_text(config)
        (root / model / "3" / "model.onnx").write_bytes(b"graph")
        (root / model / "3" / "tokenizer.json").write_text("{}")
    return root


def test_only_the_backend_differs(repository, tmp_path):
    triton_server.convert(repository, tmp_path / "made")
    for model in ("qa", "qa-batched"):
        ours, theirs = (
            (root / model / "config.pbtxt").read_text().splitlines()
            for root in (tmp_path / "made", repository)
        )
        assert set(ours) ^ set(theirs) == {'backend: "python"', 'backend: "onnxruntime"'}
        version = tmp_path / "made" / model / "3"
        assert {path.name for path in version.iterdir()} == {"model.onnx", "model.py"}
        assert (version / "model.onnx").samefile(repository / model / "3" / "model.onnx")


def test_a_repository_for_another_backend_is_refused(repository, tmp_path):
    (repository / "qa" / "config.pbtxt").write_text('backend: "tensorrt"')
    with pytest.raises(BenchmarkError, match="is not for the ONNX Runtime backend"):
        triton_server.convert(repository, tmp_path / "made")


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(BenchmarkError, match="`make triton-server` installs one"):
        triton_server.Installation(tmp_path)
