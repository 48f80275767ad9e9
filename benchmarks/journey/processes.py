"""The stages of `benchmarks.journey`, each in a process of its own that tells its peak memory.

    python -m benchmarks.journey.processes build NAME FOLDER STEP...
    python -m benchmarks.journey.processes measure FILE ROUNDS LENGTH...
    python -m benchmarks.journey.processes profile FOLDER LENGTH ARTIFACT...

Only the child imports what builds and runs models: its parent stays small, and the peak of one
stage does not hide behind that of another.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.artifact import ROOT
from benchmarks.errors import BenchmarkError
from predictor.artifact import MODEL_FILES

_PROFILED_RUNS = 3
_MOST_OPERATORS = 8


def run_apart(*arguments: str) -> tuple[str, int]:
    """Runs a stage in a child process; returns the last line it writes, and its peak in bytes.

    Raises:
        BenchmarkError: It failed.
    """
    command = [sys.executable, "-m", "benchmarks.journey.processes", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            lines = process.stdout.read().splitlines()
            # Not RUSAGE_CHILDREN: that is the largest of all children so far.
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise BenchmarkError(f"{' '.join(arguments[:2])}: status {process.returncode}")
    return lines[-1] if lines else "", usage.ru_maxrss * 1024


def build(name: str, folder: str, *steps: str) -> None:
    """Builds a model's steps."""
    from benchmarks.gpu import models as gpu_models

    gpu_models.build_steps(name, Path(folder), "cpu", steps)


def measure(file: str, rounds: str, *lengths: str) -> dict[str, Any]:
    """Seconds by system, length and round, and how many attentions are fused."""
    import onnx

    from optimize.evaluation import benchmark
    from optimize.evaluation.evaluate import session_for
    from predictor.artifact import read_spec
    from predictor.engine import Engine

    folders = {n: Path(p) for n, p in json.loads(Path(file).read_text("utf-8")).items()}
    compacted = folders["compacted graph"]
    graph = onnx.load(str(compacted / MODEL_FILES["onnx"])).graph
    attention = sum(node.op_type == "Attention" for node in graph.node)
    del graph
    engines = {
        name: Engine.load(folder, session=session_for(read_spec(folder).format))
        for name, folder in folders.items()
    }
    sampled = benchmark.sample(engines, [int(length) for length in lengths], int(rounds))
    seconds: dict[str, dict[int, list[float]]] = defaultdict(dict)
    for (name, length), values in sampled.items():
        seconds[name][length] = values
    layers = len(read_spec(compacted).layers)
    return {"seconds": seconds, "attention": attention, "layers": layers}


def profile(scratch: str, length: str, *folders: str) -> list[list[tuple[str, float]]]:
    """Milliseconds per run by operator, the longest first, of every artifact in turn."""
    return [_profiled(Path(folder), Path(scratch), int(length)) for folder in folders]


def by_operator(events: Sequence[dict[str, Any]], runs: int) -> list[tuple[str, float]]:
    """Milliseconds per run by operator from a profile's events, the longest first."""
    total: dict[str, float] = defaultdict(float)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            total[event["args"]["op_name"]] += event["dur"] / 1e3 / runs
    return sorted(total.items(), key=lambda item: -item[1])[:_MOST_OPERATORS]


def _profiled(folder: Path, scratch: Path, length: int) -> list[tuple[str, float]]:
    import numpy as np
    import onnxruntime as ort

    from predictor.sessions.cpu import available_cpus

    options = ort.SessionOptions()
    options.intra_op_num_threads = available_cpus()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    options.enable_profiling = True
    options.profile_file_prefix = str(scratch / "profile")
    session = ort.InferenceSession(
        str(folder / MODEL_FILES["onnx"]), options, providers=["CPUExecutionProvider"]
    )
    ones = np.ones((1, length), np.int64)
    feed = {node.name: ones * (node.name != "token_type_ids") for node in session.get_inputs()}
    for _ in range(_PROFILED_RUNS):
        session.run(None, feed)
    events = json.loads(Path(session.end_profiling()).read_text("utf-8"))
    return by_operator(events, _PROFILED_RUNS)


if __name__ == "__main__":
    stages = {"build": build, "measure": measure, "profile": profile}
    result = stages[sys.argv[1]](*sys.argv[2:])
    sys.stdout.write(f"{json.dumps(result)}\n")
