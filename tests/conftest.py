"""Fixtures that several folders of tests share."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from predictor.artifact import ArtifactSpec, LayerShape, digest, write_spec
from predictor.engine import Engine
from predictor.tokenization import FeatureTokenizer

ROOT = Path(__file__).resolve().parent.parent
FAKE_SESSION = "fake"

# In CI the same examples every time; elsewhere new ones, and those that failed before.
settings.register_profile("spanserve", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("spanserve")


def pytest_addoption(parser: pytest.Parser) -> None:
    """What is regenerated only when it is asked for."""
    parser.addoption(
        "--readme-screenshot",
        action="store_true",
        help="write the README's picture of the page anew (tests/browser)",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The folder decides the marker."""
    for item in items:
        if {"integration", "browser"} & set(item.path.parts):
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def checkpoint() -> Path:
    return ROOT / "demo" / "checkpoint" / "baseline"


@pytest.fixture(scope="session")
def squad2_dev() -> Path:
    """Half of the real SQuAD2 dev set, which lies beside the repository where it is at hand."""
    path = ROOT.parent / "shared" / "data" / "squad2-dev-6078.json.gz"
    if not path.is_file():
        pytest.skip("the SQuAD2 dev sample is not beside the repository")
    return path


def _write_artifact(folder: Path, checkpoint: Path, changes: dict[str, object]) -> Path:
    """Makes a folder with a real tokenizer and a model file that only FakeSession can serve."""
    folder.mkdir()
    shutil.copy(checkpoint / "tokenizer.json", folder)
    (folder / "model.onnx").write_bytes(b"no model, but bytes")
    spec = {
        "format": "onnx",
        "name": "qa",
        "version": 3,
        "build_id": "0" * 64,
        "source": "fake",
        "precision": "fp32",
        "target": "cpu",
        "opset": 18,
        "density": 1.0,
        "layers": [LayerShape(heads=2, feed_forward=8)],
        "inputs": ["input_ids", "attention_mask", "token_type_ids"],
        "pad_token_id": 0,
        "max_seq_length": 64,
        "doc_stride": 16,
        "n_best_size": 20,
        "max_answer_length": 30,
        "null_score_diff_threshold": 0.0,
        "files": {f: digest(folder / f) for f in ("model.onnx", "tokenizer.json")},
        "tools": {},
        "figures": {},
    } | changes
    write_spec(folder, ArtifactSpec.model_validate(spec))
    return folder


@pytest.fixture
def make_artifact(tmp_path: Path, checkpoint: Path) -> Callable[..., Path]:
    """Makes artifacts for FakeSession."""

    def make(name: str = "artifact", **changes: object) -> Path:
        return _write_artifact(tmp_path / name, checkpoint, changes)

    return make


@pytest.fixture(scope="session")
def fake_artifact(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> Path:
    """An artifact for FakeSession that nobody changes."""
    return _write_artifact(tmp_path_factory.mktemp("fake") / "artifact", checkpoint, {})


@pytest.fixture
def fake_engine(make_artifact: Callable[..., Path]) -> Engine:
    return Engine.load(make_artifact(), session=FAKE_SESSION)


@pytest.fixture(scope="session")
def make_tokenizer(checkpoint: Path) -> Callable[[int, int], FeatureTokenizer]:
    def make(max_seq_length: int, doc_stride: int) -> FeatureTokenizer:
        return FeatureTokenizer(
            checkpoint / "tokenizer.json", max_seq_length=max_seq_length, doc_stride=doc_stride
        )

    return make


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mounts a small file system, where that is allowed."""
    mounted: list[Path] = []

    def make(*options: str) -> Path:
        folder = tmp_path / f"mount-{len(mounted)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "none", str(folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip("there is no mount command")
        if done.returncode:
            pytest.skip(f"no file system can be mounted: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)
