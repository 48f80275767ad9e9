"""The systems that are measured: built, and how each one's process is started."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.artifact import ROOT
from benchmarks.engine.figures import (
    BF16,
    BF16_DENSE,
    BF16_FIXED,
    DENSE,
    FP32,
    FP32_BEFORE,
    INT8,
    LENGTHS,
    OV_INT8,
    OV_INT8_DENSE,
    OV_INT8_FIXED,
)
from benchmarks.errors import BenchmarkError
from benchmarks.journey.processes import run_apart
from benchmarks.output import say
from loadtest.local.deployments import PEERS
from predictor.artifact import MODEL_FILES

_RIVAL = PEERS / "openvino"

Systems = dict[str, list[str]]
"""Name → the command of its process."""


def rival_installed() -> bool:
    """Whether OpenVINO's environment is there."""
    return (_RIVAL / ".installed").is_file()


def random_systems(shapes: str, scratch: Path) -> Systems:
    """Random weights of a shape, dense and compacted; raises BenchmarkError."""
    for name, steps in ((shapes, ["torch"]), (f"{shapes}-compacted", ["graph", "int8"])):
        say(f"building {name} …")
        run_apart("build", name, str(scratch), *steps)
    dense, compacted = scratch / shapes, compacted_folder(shapes, scratch)
    systems = {
        DENSE: _own(dense / "torch"),
        FP32: _own(compacted / "graph"),
        INT8: _own(compacted / "int8"),
    }
    if rival_installed():
        models = _models(compacted)
        for names, lengths in (((BF16, OV_INT8), ()), ((BF16_FIXED, OV_INT8_FIXED), LENGTHS)):
            systems |= _rivals(compacted, models, names, lengths)
        systems |= _rivals(dense, _models(dense), (BF16_DENSE, OV_INT8_DENSE))
    return systems


def compacted_folder(shapes: str, scratch: Path) -> Path:
    """Where `random_systems` builds the steps of the compacted model."""
    return scratch / f"{shapes}-compacted"


def embedded_systems(calibration: Path, scratch: Path) -> Systems:
    """The embedded pruned model; raises BenchmarkError."""
    folder = scratch / "embedded"
    say("building the embedded pruned model …")
    _run([sys.executable, "-m", "benchmarks.engine.embedded", str(folder)])
    systems = {
        FP32_BEFORE: _own(folder / "before" / "graph"),
        FP32: _own(folder / "graph"),
        INT8: _own(folder / "int8"),
    }
    if rival_installed():
        systems |= _rivals(folder, _models(folder, calibration), (BF16, OV_INT8))
    return systems


def _own(folder: Path) -> list[str]:
    return [sys.executable, "-m", "benchmarks.engine.own", str(folder)]


def _rivals(
    folder: Path, models: Sequence[Path], names: Sequence[str], lengths: Sequence[int] = ()
) -> Systems:
    module = [*_rival_python(), "benchmarks.engine.openvino_worker", str(folder / "onnx")]
    fixed = [str(length) for length in lengths]
    return {n: [*module, str(model), *fixed] for n, model in zip(names, models, strict=True)}


def _models(folder: Path, calibration: Path | None = None) -> tuple[Path, Path]:
    """OpenVINO's models of the exported step: as it is, and quantized."""
    say(f"quantizing {folder.name} with NNCF …")
    onnx, xml = folder / "onnx", folder / "openvino.xml"
    command = [*_rival_python(), "benchmarks.engine.openvino_int8", str(onnx), str(xml)]
    _run([*command, *([str(calibration.resolve())] if calibration else [])])
    return onnx / MODEL_FILES["onnx"], xml


def _rival_python() -> list[str]:
    return [str(_RIVAL / "bin" / "python"), "-m"]


def _run(command: Sequence[str]) -> None:
    # What it prints is progress, of use where it fails.
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise BenchmarkError(f"{command[2]}: {' / '.join(done.stdout.splitlines()[-3:])}")
