"""What `loadtest local` compares, and what it refuses with one line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo import building
from loadtest.__main__ import main
from loadtest.local import deployments as known
from loadtest.local.artifacts import BASELINE, EMBEDDED, MODEL, Artifacts
from loadtest.local.deployments import NAMES, Deployment, LeftOut, deployments
from tests.loadtest.qa_server import ROOT

PEERS = (known.TRANSFORMERS, known.OPTIMUM, known.OPENVINO, known.MLSERVER)
PINS = sorted((ROOT / "benchmarks" / "peers").glob("*.txt"))


@dataclass(frozen=True)
class Made:
    """Artifacts, and an environment where all peers are said to be installed."""

    artifacts: Artifacts
    folder: Path

    def of(self, name: str) -> Deployment | LeftOut:
        (one,) = deployments(self.artifacts, self.folder, [name])
        return one


@pytest.fixture
def made(fake_artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    for kind in ("transformers", "optimum", "openvino", "mlserver"):
        (tmp_path / "peers" / kind).mkdir(parents=True)
        (tmp_path / "peers" / kind / ".installed").touch()
    monkeypatch.setattr(known, "PEERS", tmp_path / "peers")
    paths = [tmp_path / name for name in ("torch", "triton", "checkpoint")]
    artifacts = Artifacts(paths[0], fake_artifact, paths[1], paths[2])
    return Made(artifacts, tmp_path / "servers")


def test_every_name_is_a_deployment_or_has_a_reason(made: Made) -> None:
    for name in NAMES:
        one = made.of(name)
        assert one.name == name
        if isinstance(one, LeftOut):
            assert name == known.TRITON
            assert "`make triton-server`" in one.reason
        else:
            assert one.note
            assert one.peer == (name in PEERS)


def test_the_embedded_checkpoints_are_built_as_the_demo_builds_them() -> None:
    options = dict(zip(EMBEDDED[::2], EMBEDDED[1::2], strict=True))
    assert options == {
        "--dataset": str(building.QUESTIONS),
        "--train-data": str(building.CHOICE),
        "--null-threshold": "auto",
    }
    assert (building.PRUNED, building.BASELINE) == (MODEL, BASELINE)


def test_only_the_binding_differs(made: Made) -> None:
    without, bound = made.of(known.OPTIMIZED), made.of(known.IO_BINDING)
    assert isinstance(without, Deployment)
    assert isinstance(bound, Deployment)
    (first,), (second,) = without.servers, bound.servers
    plain, binding = (
        [text for text in server.command if text != str(server.port)] for server in (first, second)
    )
    assert plain == [*binding, "--io_binding", "false"]


def test_the_peers_serve_the_baseline_in_windows_of_the_model(made: Made) -> None:
    for name in (known.TRANSFORMERS, known.OPTIMUM, known.OPENVINO):
        one = made.of(name)
        assert isinstance(one, Deployment)
        command = list(one.servers[-1].command)
        assert command[command.index("--model") + 1] == str(made.artifacts.checkpoint)
        assert command[command.index("--max-length") + 1] == "64"
        assert one.protocol == "v1"


def test_mlserver_s_files(made: Made) -> None:
    one = made.of(known.MLSERVER)
    assert isinstance(one, Deployment)
    (server,) = one.servers
    folder = Path(server.command[-1])
    settings = json.loads((folder / "settings.json").read_text())
    model = json.loads((folder / "model-settings.json").read_text())
    assert settings["http_port"] == server.port
    assert len({settings[f"{name}_port"] for name in ("http", "grpc", "metrics")}) == 3
    assert model["name"] == "qa"
    assert model["parameters"]["extra"]["pretrained_model"] == str(made.artifacts.checkpoint)


def test_what_is_not_installed_is_left_out(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "PEERS", made.folder / "none")
    one = made.of(known.OPTIMUM)
    assert one == LeftOut(known.OPTIMUM, "it is not installed; `make peers` does that")


@pytest.mark.parametrize("path", PINS, ids=lambda path: path.stem)
def test_every_package_of_a_peer_is_pinned(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if line and line[0] != "#"]
    assert all(line.count("==") == 1 for line in lines)
    names = [line.partition("==")[0].lower() for line in lines]
    assert len(set(names)) == len(names)
    assert "torch" in names


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--deployments", "baseline,nobody"], "'nobody' is none of baseline, "),
        (["--deployments", "baseline,baseline"], "is not a list of different names"),
        (["--targets", "targets.yaml"], "the targets are its own"),
        (["--max-minutes", "0"], "is not a number above 0"),
    ],
)
def test_options_that_cannot_be(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["local", *arguments])
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_folders_that_cannot_be_served(
    fake_artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "artifact.json").write_text("[]")
    for model, baseline, said in (
        ("none", "none", "none is neither a checkpoint nor an artifact"),
        ("empty", "empty", "empty is neither a checkpoint nor an artifact"),
        ("other", "other", "artifact.json is not an artifact's"),
        (fake_artifact, fake_artifact, "is an ONNX artifact: the baseline is one for PyTorch"),
    ):
        given = ["--model", str(tmp_path / model), "--baseline", str(tmp_path / baseline)]
        assert main(["local", *given, "--work-dir", str(tmp_path / "work")]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("loadtest: ")
        assert line.endswith(said)
    assert not (tmp_path / "work").exists()
