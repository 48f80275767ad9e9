"""What the local servers serve, made by `python -m optimize` where it is not there yet."""

import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtest.errors import OptionError
from loadtest.local.servers import ROOT, ServerError

CHECKPOINTS = ROOT / "demo" / "checkpoint"
MODEL, BASELINE = CHECKPOINTS / "pruned", CHECKPOINTS / "baseline"
# As the demo builds them.
EMBEDDED = (
    *("--dataset", str(ROOT / "demo" / "data" / "questions.json")),
    *("--train-data", str(ROOT / "demo" / "data" / "choice.json"), "--null-threshold", "auto"),
)
_MANIFEST = "artifact.json"
_ANOTHER_BUILD = 2

Say = Callable[[str], None]
"""Takes a line of progress."""


@dataclass(frozen=True)
class Artifacts:
    """Folders.

    Attributes:
        baseline: The PyTorch artifact.
        optimized: The ONNX artifact.
        triton: A Triton repository of the same graph.
        checkpoint: The baseline as other libraries load it.
    """

    baseline: Path
    optimized: Path
    triton: Path
    checkpoint: Path

    @property
    def tokenizer(self) -> Path:
        """The tokenizer of all of them."""
        return self.optimized / "tokenizer.json"

    @property
    def max_length(self) -> int:
        """Tokens of the longest sequence that is not cut into windows."""
        return int(_manifest(self.optimized)["max_seq_length"])

    @property
    def precision(self) -> str:
        """The optimized graph's."""
        return str(_manifest(self.optimized)["precision"])


def prepared(
    model: Path, baseline: Path | None, folder: Path, say: Say, deadline: float
) -> Artifacts:
    """The artifacts of a pair.

    Args:
        model: A checkpoint, which is optimized, or an ONNX artifact, which is taken as it is.
        baseline: A checkpoint or a PyTorch artifact; None for the model itself.
        folder: Where what has to be made is kept, and found again.
        say: Takes lines of progress.
        deadline: The monotonic time at which to give up.

    Raises:
        OptionError: One of them is nothing that can be served.
        ServerError: `python -m optimize` failed, or took too long.
    """
    model, baseline = model.resolve(), (baseline or model).resolve()
    kinds = kind_of(model), kind_of(baseline)
    if kinds[1] == "onnx":
        raise OptionError(f"{baseline} is an ONNX artifact: the baseline is one for PyTorch")
    pair = hashlib.sha256(f"{model}\n{baseline}".encode()).hexdigest()[:12]
    root = folder.resolve() / pair
    if kinds[0] == "onnx":
        say(f"publishing {model} with a Triton repository")
        # Links to files that are there: nothing is worth keeping.
        shutil.rmtree(root / "root", ignore_errors=True)
        _optimize(
            ["publish", "--model-dir", str(model), "--output", str(root / "root"), "--triton"],
            deadline,
        )
        torch = baseline
        if kinds[1] == "checkpoint":
            torch = root / "baseline"
            shutil.rmtree(torch, ignore_errors=True)
            whole = ["compact", "--keep-zeros", "--model", str(baseline), "--output", str(torch)]
            _optimize(whole, deadline)
    else:
        say(f"optimizing {model}, with {baseline} for the baseline")
        command = ["build", "--model", str(model), "--baseline", str(baseline), "--triton"]
        command += ["--output", str(root / "root"), "--sequence-lengths", "8,128", "--rounds", "3"]
        if baseline == BASELINE:
            command += EMBEDDED
        _optimize(command, deadline, again_without=root / "root")
        torch = root / "root" / "qa-baseline" / "1"
    published = root / "root"
    return Artifacts(torch, published / "qa" / "1", published / "triton", baseline)


def kind_of(folder: Path) -> str:
    """`onnx` or `torch` for an artifact, else `checkpoint`; raises OptionError for neither."""
    if (folder / _MANIFEST).is_file():
        return str(_manifest(folder)["format"])
    if (folder / "config.json").is_file():
        return "checkpoint"
    raise OptionError(f"{folder} is neither a checkpoint nor an artifact")


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / _MANIFEST).read_text("utf-8"))
        return {key: found[key] for key in ("format", "precision", "max_seq_length")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OptionError(f"{folder / _MANIFEST} is not an artifact's") from error


def _optimize(arguments: Sequence[str], deadline: float, again_without: Path | None = None) -> None:
    """Runs a verb to its end; anew without a folder that holds another build."""
    command = [sys.executable, "-m", "optimize", *arguments]
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            check=False,
            timeout=max(deadline - time.monotonic(), 1),
        )
    except subprocess.TimeoutExpired:
        raise ServerError(f"optimize {arguments[0]} was not done in time") from None
    if done.returncode == _ANOTHER_BUILD and again_without and again_without.exists():
        shutil.rmtree(again_without)
        _optimize(arguments, deadline)
    elif done.returncode:
        raise ServerError(f"optimize {arguments[0]} ended with status {done.returncode}")
