"""Each step of a build as a verb: the whole chain, and what a verb that fails leaves."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from optimize.__main__ import main
from predictor.artifact import load_spec
from predictor.engine import Engine
from tests.conftest import ROOT
from tests.integration.building import QUESTIONS, one_error_line, optimize
from tests.signals import hearing_ctrl_c


@pytest.fixture(scope="module")
def chain(checkpoint, tmp_path_factory):
    """The folders that the verbs made one after the other, each in a process of its own."""
    out = tmp_path_factory.mktemp("chain")
    for verb, source, made, *more in (
        ("compact", checkpoint, "pruned", "--null-threshold", "-4"),
        ("export", out / "pruned", "onnx"),
        ("fuse", out / "onnx", "graph"),
        ("quantize", out / "graph", "int8", "--asymmetric"),
    ):
        option = "--model" if verb == "compact" else "--model-dir"
        result = optimize(verb, option, source, "--output", out / made, *more)
        assert result.returncode == 0, result.stderr
    assert {path.name for path in out.iterdir()} == {"pruned", "onnx", "graph", "int8"}
    return out


def test_the_chain_answers_as_the_build_does(chain, fp32):
    ours, theirs = Engine.load(chain / "graph"), Engine.load(fp32)
    ignored = {"build_id", "figures", "files"}
    assert ours.spec.model_dump(exclude=ignored) == theirs.spec.model_dump(exclude=ignored)
    features = theirs.prepare(QUESTIONS)
    for a, b in zip(ours.run(features), theirs.run(features), strict=True):
        assert np.allclose(a.start, b.start, atol=1e-5)
        assert np.allclose(a.end, b.end, atol=1e-5)
    answers = [[r.answers[0].text for r in e.answer(QUESTIONS)[0]] for e in (ours, theirs)]
    assert answers[0] == answers[1]
    assert any(answers[0])


def test_every_artifact_of_the_chain_is_its_own(chain):
    specs = {folder.name: load_spec(folder) for folder in chain.iterdir()}
    assert len({spec.build_id for spec in specs.values()}) == len(specs)
    assert {name: (spec.format, spec.precision) for name, spec in specs.items()} == {
        "pruned": ("torch", "fp32"),
        "onnx": ("onnx", "fp32"),
        "graph": ("onnx", "fp32"),
        "int8": ("onnx", "int8"),
    }


def test_fp16_is_for_a_gpu_whatever_the_chain_was_for(chain, tmp_path, capsys, caplog):
    out = tmp_path / "fp16"
    command = ["quantize", "--model-dir", str(chain / "graph"), "--output", str(out)]
    assert load_spec(chain / "graph").target == "cpu"
    assert main([*command, "--fp16"]) == 0
    assert "target is cuda, not cpu" in caplog.text
    assert "nodes kept in fp32: none" in caplog.text
    spec = load_spec(out)
    assert (spec.precision, spec.target) == ("fp16", "cuda")
    capsys.readouterr()
    assert main(["verify", "--model-dir", str(out), "--against", str(chain / "graph")]) == 0
    assert json.loads(capsys.readouterr().out)["relative_logit_difference"] < 2e-2


def test_verify_compares_and_gates(chain, capsys):
    against = ["--against", str(chain / "graph")]
    verify = ["verify", "--model-dir", str(chain / "int8"), *against]
    assert main(verify) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["precision"] == "int8"
    assert 0.01 < figures["max_logit_difference"] < 3
    assert main([*verify, "--parity-tolerance", "1e-4"]) == 3
    assert "the bound is 1e-04" in capsys.readouterr().err
    assert main([*verify, "--min-span-agreement", "1.01"]) == 3
    assert "of the answers are those" in capsys.readouterr().err
    assert main(["verify", "--model-dir", str(chain / "onnx"), *against]) == 0
    assert json.loads(capsys.readouterr().out)["relative_logit_difference"] < 1e-4


def test_verify_gates_f1_on_a_data_set(chain, capsys, caplog):
    verify = ["verify", "--model-dir", str(chain / "int8"), "--against", str(chain / "graph")]
    verify += ["--dataset", str(ROOT / "demo" / "data" / "questions.json")]
    assert main(verify) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["questions"] == 200
    drop = figures["f1_against"] - figures["f1"]
    assert figures["f1_loss"]["points"] == pytest.approx(drop)
    gate = ["--max-f1-drop", str(drop - 0.01)]
    certain = figures["f1_loss"]["interval"][0] > 0
    assert main([*verify, *gate]) == (3 if certain else 0)
    assert "below that of" in capsys.readouterr().err + caplog.text
    assert main([*verify, *gate, "--strict-gate"]) == 3
    assert "below that of" in capsys.readouterr().err


def test_verify_finds_damage(chain, checkpoint, tmp_path, capsys):
    folder = tmp_path / "damaged"
    folder.mkdir()
    for path in (chain / "graph").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    with (folder / "model.onnx").open("r+b") as stream:
        stream.seek(-100, os.SEEK_END)
        stream.write(b"\xff" * 8)
    assert main(["verify", "--model-dir", str(folder)]) == 1
    assert "wrong checksum" in capsys.readouterr().err


def test_benchmark_prints_a_table_or_json(chain, capsys):
    folders = [str(chain / name) for name in ("pruned", "int8")]
    command = ["benchmark", "--model-dir", *folders, "--sequence-lengths", "8,16", "--rounds", "2"]
    assert main(command) == 0
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert head == f"| tokens | {folders[0]} (ms) | {folders[1]} (ms) |"
    assert [row.split(" | ")[0] for row in rows] == ["| 8", "| 16"]
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == set(folders)
    assert found[folders[1]]["16"]["mean_ms"] > 0


def test_publish_and_report(chain, tmp_path, capsys):
    publish = ["publish", "--output", str(tmp_path), "--name", "mine", "--version", "3"]
    model = ["--model-dir", str(chain / "int8")]
    assert main([*publish, *model, "--triton"]) == 0
    folder = tmp_path / "mine" / "3"
    assert capsys.readouterr().out == f"{folder}\n"
    spec = load_spec(folder)
    assert (spec.name, spec.version, spec.precision) == ("mine", 3, "int8")
    assert load_spec(tmp_path / "triton" / "mine-batched" / "3") == spec
    before = (folder / "artifact.json").stat().st_mtime_ns
    assert main([*publish, *model]) == 0
    assert main([*publish, "--model-dir", str(chain / "graph")]) == 2
    assert "another build" in capsys.readouterr().err
    assert (folder / "artifact.json").stat().st_mtime_ns == before
    assert main(["report", "--root", str(folder)]) == 0
    assert capsys.readouterr().out == (folder / "report.md").read_text()
    assert main(["report", "--root", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["build_id"] == spec.build_id
    assert main(["report", "--root", str(chain / "int8")]) == 1
    assert "is this a published version?" in capsys.readouterr().err


def test_what_cannot_be_done_is_one_line_and_leaves_nothing(chain, checkpoint, tmp_path, capsys):
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "file").touch()
    out = tmp_path / "made" / "out"
    cases = {
        "is int8 onnx; fuse takes": (1, "fuse", chain / "int8", out),
        "is fp32 onnx; export takes": (1, "export", chain / "graph", out),
        "is fp32 torch; quantize takes": (1, "quantize", chain / "pruned", out),
        "no artifact there yet": (1, "quantize", chain / "nowhere", out),
        "is not empty": (2, "export", chain / "pruned", taken),
        "cannot be written": (1, "export", chain / "pruned", "/proc/nowhere"),
    }
    for message, (status, verb, source, output) in cases.items():
        assert main([verb, "--model-dir", str(source), "--output", str(output)]) == status
        assert message in capsys.readouterr().err
    assert main(["compact", "--model", str(tmp_path / "none"), "--output", str(out)]) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
    assert [path.name for path in taken.iterdir()] == ["file"]


def test_a_graph_that_does_not_fuse_fails(chain, tmp_path):
    """A quantized graph of an artifact that says fp32, as someone else may have made it."""
    from predictor.artifact import write_spec

    folder = tmp_path / "odd"
    folder.mkdir()
    for path in (chain / "int8").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    write_spec(folder, load_spec(folder).model_copy(update={"precision": "fp32"}))
    result = optimize("fuse", "--model-dir", folder, "--output", tmp_path / "out" / "graph")
    assert result.returncode == 3
    assert "the fusion is incomplete" in one_error_line(result)
    assert [path.name for path in tmp_path.iterdir()] == ["odd"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_verb_leaves_nothing(chain, tmp_path, number, status):
    out = tmp_path / "out"
    command = ["export", "--model-dir", str(chain / "pruned"), "--output", str(out)]
    with hearing_ctrl_c():
        verb = subprocess.Popen(
            [sys.executable, "-m", "optimize", *command], stderr=subprocess.PIPE, text=True
        )
    with verb:
        while not list(tmp_path.glob(".publishing-*")):
            assert verb.poll() is None, verb.stderr.read()
            time.sleep(0.001)
        verb.send_signal(number)
        error = verb.stderr.read()
    assert verb.returncode == status, error
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_the_original_can_be_kept_to_compare_with(checkpoint, chain, tmp_path, capsys):
    out = tmp_path / "baseline"
    make = ["compact", "--model", str(checkpoint), "--output", str(out), "--keep-zeros"]
    assert main([*make, "--null-threshold", "-4"]) == 0
    assert main(["verify", "--model-dir", str(chain / "pruned"), "--against", str(out)]) == 0
    assert json.loads(capsys.readouterr().out)["span_agreement"] == 1.0
