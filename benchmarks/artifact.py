"""The artifact under load: the embedded dense checkpoint, built once in each precision."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tokenizers import Tokenizer

from benchmarks.errors import BenchmarkError
from demo.building import BASELINE

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "bench"


def embedded_artifact(precision: str = "fp32") -> Path:
    """The artifact's folder; builds it where it is not there yet.

    Raises:
        BenchmarkError: It cannot be built.
    """
    root = BUILD / precision
    folder = root / "qa" / "1"
    if not (folder / "artifact.json").is_file():
        command = [sys.executable, "-m", "optimize", "build"]
        command += ["--model", str(BASELINE), "--precision", precision]
        command += ["--output", str(root)]
        command += ["--sequence-lengths", "8", "--rounds", "1"]
        process = subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        if process.returncode:
            raise BenchmarkError(f"the artifact cannot be built: status {process.returncode}")
    return folder


def tokenizer_of(folder: Path) -> Tokenizer:
    """An artifact's tokenizer, neither truncating nor padding."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
