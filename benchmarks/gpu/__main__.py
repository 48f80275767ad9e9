"""Checks and measures the predictor's session on a GPU; `--device cpu` runs the same on a CPU.

    python -m benchmarks.gpu --output FOLDER [--device cuda|cpu] [--quick] [--dataset SQUAD.json]

In a checkout without a virtual environment, on Python 3.11 to 3.13 with a CUDA build of PyTorch:

    pip uninstall --yes onnxruntime onnxruntime-gpu
    pip install "onnxruntime-gpu[cuda,cudnn]==1.31.1" "transformers==4.57.6" "optimum==2.1.0" \\
        "optimum-onnx==0.1.0" "onnx==1.23.2" "tokenizers>=0.22.2,<0.23" "pydantic>=2.10,<3" \\
        safetensors rich numpy

The two ONNX Runtimes overwrite each other, hence the first line; where PyTorch has brought CUDA 13
and cuDNN 9 already, `onnxruntime-gpu==1.31.1` without its extras does. A machine that downloads
nothing takes the same list from `pip download`, with `pip install --no-index --find-links FOLDER`.
The models are built here: BERT-large needs 8 GB of memory for that, and all of them 7 GB of disk
under $TMPDIR.

It writes `results.json` and `results.md` after each part, so that a run that is cut short keeps
what it has. Exit status: 0, or 1 where a check failed.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

# Before ONNX Runtime is started: its CUDA libraries are then there for it.
import torch

from benchmarks.gpu import checks as gpu_checks
from benchmarks.gpu import models as gpu_models
from benchmarks.gpu.models import Built
from benchmarks.gpu.report import ModelFigures, Results
from demo.building import QUESTIONS
from optimize.errors import OptimizeError
from optimize.evaluation import benchmark
from optimize.recipe import SEQUENCE_LENGTHS
from predictor.artifact import read_spec
from predictor.engine import Engine
from predictor.errors import PredictorError
from predictor.sessions.providers import CUDA, choose_provider

logger = logging.getLogger("benchmarks.gpu")

MODELS = ("embedded", "bert-large", "bert-large-compacted")
QUICK_MODELS = ("embedded", "tiny", "tiny-compacted")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description="Check and measure the session on a GPU."
    )
    result.add_argument("--output", type=Path, required=True, help="folder for the results")
    result.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    result.add_argument(
        "--quick", action="store_true", help="small models and few rounds: proves the program"
    )
    result.add_argument("--dataset", type=Path, help="SQuAD file to compare EM and F1 on")
    result.add_argument(
        "--models", nargs="*", choices=("embedded", *gpu_models.RANDOM_MODELS), help="which"
    )
    result.add_argument("--rounds", type=int, help="measurements of each latency")
    return result


def main(argv: list[str] | None = None) -> int:
    """Runs all parts; returns the exit status."""
    arguments = parser().parse_args(argv)
    quick: bool = arguments.quick
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(message)s")
    for name in ("benchmarks", "predictor"):
        logging.getLogger(name).setLevel(logging.INFO)
    arguments.output.mkdir(parents=True, exist_ok=True)
    rounds = arguments.rounds or (3 if quick else 200)
    results = Results(
        arguments.device,
        {"quick": quick, "rounds": rounds, "threads": torch.get_num_threads()},
    )
    names = arguments.models or (QUICK_MODELS if quick else MODELS)
    try:
        if arguments.device == "cuda":
            choose_provider(CUDA, "cuda")
        run(results, names, arguments.output, arguments.dataset)
    except (PredictorError, OptimizeError) as error:
        sys.stderr.write(f"benchmarks.gpu: error: {error}\n")
        return 1
    failed = [found.name for found in results.checks if found.passed is False]
    if failed:
        sys.stderr.write(f"benchmarks.gpu: failed: {', '.join(failed)}\n")
    return 1 if failed else 0


def run(results: Results, names: Sequence[str], output: Path, dataset: Path | None) -> None:
    """Builds, checks and measures each model, and writes what is known after each part."""
    with TemporaryDirectory(prefix="benchmark-") as scratch:
        for name in names:
            logger.info("%s: building", name)
            built = gpu_models.build(name, Path(scratch), results.device)
            if name == "embedded":
                check(results, built, dataset)
                results.write(output)
            results.models.append(measure(name, built, results))
            results.write(output)
    logger.info("wrote %s", output / "results.md")


def check(results: Results, built: Built, dataset: Path | None) -> None:
    """Adds every check of the embedded model."""
    device, quick = results.device, results.settings["quick"]
    examples = gpu_checks.read_examples(QUESTIONS, 20 if quick else 1)
    results.checks.append(gpu_checks.fp16_answers(built, device, examples))
    if dataset:
        more = gpu_checks.read_examples(dataset, 200 if quick else 1)
        results.checks.append(gpu_checks.fp16_answers(built, device, more))
    results.checks.append(gpu_checks.graph_answers(built, device, examples))
    results.checks.append(gpu_checks.binding_answers(built, device, examples))
    results.checks.append(gpu_checks.fused_attention(built, device))
    for found in results.checks:
        logger.info("%s: %s (%s)", found.name, found.passed, found.detail)


def measure(name: str, built: Built, results: Results) -> ModelFigures:
    """Latency by length at batch 1, and by batch at the lengths of passages."""
    quick, rounds = results.settings["quick"], results.settings["rounds"]
    lengths = (8, 64, 128) if quick else SEQUENCE_LENGTHS
    batches = (1, 4) if quick else (1, 2, 4, 8, 16, 32)
    passages = (128,) if quick else (128, 384)
    engines = dict(gpu_models.systems(built, results.device, batches[-1] * passages[-1]))
    warm_up_s = warm_up(engines)
    logger.info("%s: measuring %s", name, ", ".join(engines))
    return ModelFigures(
        name=name,
        layers=tuple((shape.heads, shape.feed_forward) for shape in read_spec(built.fp32).layers),
        latency=benchmark.measure(engines, lengths, rounds),
        throughput={
            rows: benchmark.measure(engines, passages, max(3, rounds // 5), rows=rows)
            for rows in batches
        },
        warm_up_s=warm_up_s,
    )


def warm_up(engines: Mapping[str, Engine]) -> dict[str, float]:
    """Warms every engine; seconds by system."""
    seconds = {}
    for name, engine in engines.items():
        started = time.perf_counter()
        engine.warm_up()
        seconds[name] = time.perf_counter() - started
    return seconds


if __name__ == "__main__":
    sys.exit(main())
