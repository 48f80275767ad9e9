"""`python -m benchmarks.instructions`: the same answers here and on a CPU without AVX-512 and VNNI?

Method
- A process answers questions of the data set natively, another one in valgrind (`--tool=none`),
  whose CPU has AVX2 and nothing beyond: it runs the real kernels that ONNX Runtime has for one.
- Answers must be equal. Logits are compared for the reader: exact integer products leave the last
  bits of fp32 kernels, which can move the rounding of an activation by one step.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.artifact import ROOT
from benchmarks.errors import BenchmarkError
from benchmarks.output import say
from demo.building import QUESTIONS
from loadtest.signals import exit_on_signals
from optimize.data import squad
from optimize.data.squad import Example
from optimize.errors import SourceError
from predictor.sessions.instructions import named

# With 8-bit weights its answer was another one without VNNI.
TELLING = "demo-096"
COUNT = 5
_VALGRIND = ("valgrind", "--quiet", "--tool=none")


@dataclass(frozen=True)
class Answer:
    """What one process answered; logits are (features, 2, seq), of each its own length."""

    id: str
    answer: str
    seconds: float
    logits: Sequence[Sequence[Sequence[float]]]


def main(argv: list[str] | None = None) -> int:
    """Compares; returns 1 where an answer differs or the comparison fails."""
    arguments = _parser().parse_args(argv)
    exit_on_signals()
    try:
        examples = _sample(squad.read(arguments.dataset), arguments.ids, arguments.count)
        differing = _compare(arguments.model_dir, examples)
    except (BenchmarkError, SourceError) as error:
        sys.stderr.write(f"instructions: error: {error}\n")
        return 1
    say(f"{len(examples) - differing} of {len(examples)} answers are the same")
    return 1 if differing else 0


def _compare(folder: Path, examples: Sequence[Example]) -> int:
    """Prints each question's line; returns how many answers differ."""
    if shutil.which(_VALGRIND[0]) is None:
        raise BenchmarkError("valgrind is not installed (Debian: apt-get install valgrind)")
    native, emulated = (_answers(prefix, folder, examples) for prefix in ((), _VALGRIND))
    (here, there) = (next(answers)["sets"] for answers in (native, emulated))
    say(f"{folder}: natively ({named(here)}) against valgrind ({named(there)})")
    if there != ["avx2"]:
        raise BenchmarkError("valgrind's CPU is not one with AVX2 alone")
    differing = 0
    for row, other in zip(native, emulated, strict=True):
        one, two = Answer(**row), Answer(**other)
        farthest = max(
            float(np.abs(np.subtract(ours, theirs)).max())
            for ours, theirs in zip(one.logits, two.logits, strict=True)
        )
        differs = one.answer != two.answer
        differing += differs
        say(
            f"  {one.id}: {one.answer!r}{f' natively, {two.answer!r} there' if differs else ''}; "
            f"logits differ by up to {farthest:.2g}; {two.seconds:.1f} s there"
        )
    return differing


def _answers(
    prefix: Sequence[str], folder: Path, examples: Sequence[Example]
) -> Iterator[dict[str, Any]]:
    """The rows that a process writes; raises BenchmarkError where it fails."""
    questions = [{"id": e.id, "question": e.question, "context": e.context} for e in examples]
    command = [*prefix, sys.executable, "-m", "benchmarks.instructions.answering", str(folder)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        with process.stdin:
            json.dump(questions, process.stdin)
        for line in process.stdout:
            yield json.loads(line)
    if process.returncode:
        raise BenchmarkError(f"{' '.join(command[:2])} … ended with status {process.returncode}")


def _sample(examples: Sequence[Example], ids: Sequence[str], count: int) -> list[Example]:
    """Those asked for, or the telling one and others, spread evenly over the file."""
    by_id = {example.id: example for example in examples}
    if unknown := [name for name in ids if name not in by_id]:
        raise BenchmarkError(f"the data set has no question {', '.join(unknown)}")
    if ids:
        return [by_id[name] for name in ids]
    chosen = [by_id[TELLING]] if TELLING in by_id else []
    others = [example for example in examples if example.id != TELLING]
    count = min(count - len(chosen), len(others))
    return chosen + [others[place * len(others) // count] for place in range(count)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.instructions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "ids", nargs="*", metavar="ID", help=f"questions; default: {TELLING} and others"
    )
    parser.add_argument(
        "--count", type=int, default=COUNT, help=f"how many without IDs (default: {COUNT})"
    )
    parser.add_argument(
        "--model-dir", type=Path, metavar="FOLDER",
        default=ROOT / "build" / "demo" / "artifacts" / "qa" / "1",
        help="the artifact (default: what `make demo` serves)",
    )  # fmt: skip
    parser.add_argument(
        "--dataset", type=Path, metavar="FILE", default=QUESTIONS,
        help="SQuAD file; default: the demo's questions",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
