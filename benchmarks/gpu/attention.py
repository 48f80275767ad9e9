"""Which attention kernels ONNX Runtime really runs, by its own debug output.

That output goes to the standard output of the process, past Python, and is switched on before the
model is loaded: so it runs in a child process, `python -m benchmarks.gpu.attention FOLDER`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

# First of the two: its CUDA libraries are then there for ONNX Runtime.
import torch  # noqa: F401

from predictor.engine import Engine
from predictor.sessions.protocol import SessionOptions
from predictor.sessions.providers import CUDA
from predictor.types import Batch

ROOT = Path(__file__).resolve().parents[2]
UNFUSED = "MATH"
LENGTHS = (64, 128, 256, 384, 512)
_SWITCH = "ORT_ENABLE_ATTENTION_KERNEL_DEBUG_INFO"
_KERNEL = re.compile(r"Operator=(\w+).* DataType=(\w+) SdpaKernel=(\w+)")
_LENGTH = re.compile(r"^length=(\d+)$")


def kernels(folder: Path) -> dict[int, list[str]]:
    """The kernel of every Attention in one run of an artifact, by sequence length.

    Args:
        folder: An ONNX artifact.

    Raises:
        RuntimeError: The model does not run on CUDA.
    """
    finished = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu.attention", str(folder.resolve())],
        cwd=ROOT,
        env=os.environ | {_SWITCH: "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if finished.returncode != 0:
        raise RuntimeError(f"the attention kernels cannot be read: {finished.stderr[-2000:]}")
    return parse(finished.stdout)


def parse(output: str) -> dict[int, list[str]]:
    """Length → kernels in order, from the child's output; other operators' are left out."""
    found: dict[int, list[str]] = {}
    current: list[str] = []
    for line in output.splitlines():
        if length := _LENGTH.match(line):
            current = found.setdefault(int(length[1]), [])
        elif (kernel := _KERNEL.search(line)) and kernel[1] == "Attention":
            current.append(kernel[3])
    return found


def main(folder: Path) -> int:
    """Runs one batch of each length, announcing it."""
    engine = Engine.load(folder, options=SessionOptions(CUDA, cuda_graph=False))
    for length in LENGTHS:
        if length > engine.spec.max_seq_length:
            continue
        sys.stdout.write(f"length={length}\n")
        sys.stdout.flush()
        ones: Batch = {name: np.ones((1, length), dtype=np.int64) for name in engine.spec.inputs}
        engine.session.run(ones)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
