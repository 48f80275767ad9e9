"""The journey's figures from known seconds, its stages on a tiny model, and what a failure says."""

import json

import onnx
import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.journey import __main__ as journey
from benchmarks.journey.figures import Measured, figures
from benchmarks.journey.processes import by_operator, run_apart
from predictor.artifact import MODEL_FILES

GIB = 2**30


def measured(folder, attention=24, mib=1.0, peak=7 * GIB, compacted=(1.0, 1.0, 1.0), int8=1.0):
    with (folder / MODEL_FILES["onnx"]).open("wb") as stream:
        stream.truncate(int(mib * 2**20))
    seconds = {
        ("dense graph", 384): [4.0, 4.0, 5.0],
        ("heads graph", 384): [3.0, 3.0, 3.0],
        ("compacted graph", 384): compacted,
        ("dense torch", 128): [9.0, 8.5, 9.5],
        ("compacted int8", 128): [int8] * 3,
    }
    peaks = {"build dense": peak, "measure": GIB}
    return Measured({"compacted graph": folder}, seconds, attention, 24, peaks)


def missed(found):
    return {figure.name for figure in figures(found) if not figure.held}


def test_every_bound_is_held_or_missed_by_its_own_figure(tmp_path):
    assert missed(measured(tmp_path)) == set()
    assert missed(measured(tmp_path, attention=23)) == {"fused"}
    assert missed(measured(tmp_path, mib=410.5)) == {"size"}
    assert missed(measured(tmp_path, compacted=(1.18, 1.18, 1.18))) == {"heads"}
    assert missed(measured(tmp_path, compacted=(1.3, 1.3, 0.1))) == {"dense", "heads"}
    assert missed(measured(tmp_path, int8=1.2)) == {"int8"}
    assert missed(measured(tmp_path, peak=8 * GIB + 2**20)) == {"memory"}


def test_a_profile_by_operator():
    def event(name, operator, microseconds, category="Node"):
        return {"cat": category, "name": name, "dur": microseconds, "args": {"op_name": operator}}

    events = [
        event("a_kernel_time", "MatMul", 3000),
        event("b_kernel_time", "Attention", 9000),
        event("c_kernel_time", "MatMul", 5000),
        event("a_fence_before", "MatMul", 7000),
        {"cat": "Session", "name": "model_run", "dur": 50000, "args": {}},
    ]
    assert by_operator(events, runs=2) == [("Attention", 4.5), ("MatMul", 4.0)]


def test_a_stage_that_fails_is_an_error(capfd):
    with pytest.raises(BenchmarkError, match="build nothing"):
        run_apart("build", "nothing", "/nowhere", "graph")
    assert "Traceback" in capfd.readouterr().err


@pytest.mark.integration
def test_tiny_models_go_all_the_way(tmp_path, capsys):
    found = journey.measure("tiny", tmp_path, rounds=2)
    assert (found.attention, found.layers) == (2, 2)
    assert set(found.peaks) == {"build dense", "build heads", "build compacted", "measure"}
    assert all(peak > 100 * 2**20 for peak in found.peaks.values())
    assert {len(values) for values in found.seconds.values()} == {2}
    assert set(found.seconds) == {(name, n) for name in found.folders for n in (128, 384)}
    sizes = [
        (found.folders[f"{name} graph"] / MODEL_FILES["onnx"]).stat().st_size
        for name in ("dense", "heads", "compacted")
    ]
    assert sizes == sorted(sizes, reverse=True)
    capsys.readouterr()

    out, _ = run_apart("profile", str(tmp_path), "16", str(found.folders["compacted graph"]))
    (operators,) = json.loads(out)
    graph = onnx.load(str(found.folders["compacted graph"] / MODEL_FILES["onnx"])).graph
    assert {name for name, _ in operators} & {node.op_type for node in graph.node}
