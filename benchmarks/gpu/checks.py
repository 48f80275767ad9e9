"""Whether what is fast is also right: precisions, graphs and bindings against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.gpu import attention as gpu_attention
from benchmarks.gpu.models import PROVIDERS, Built
from optimize.data import metrics, squad
from optimize.data.squad import Example
from optimize.evaluation import evaluate
from predictor.artifact import read_spec
from predictor.engine import Engine
from predictor.sessions.protocol import SessionOptions
from predictor.sessions.providers import CPU
from predictor.types import Question

# Of the answers; where two spans are nearly as good, rounding may choose.
_SAME_ANSWERS = 0.98
# Of the largest logit. A graph replays the kernels that ran without it; other shapes may choose
# other kernels, whose sums round differently.
_REPLAYED = 1e-3
_OTHER_SHAPES = {"fp32": 1e-4, "fp16": 2e-2}


@dataclass(frozen=True)
class Check:
    """What was checked; `passed` is None where this device cannot check it."""

    name: str
    passed: bool | None
    detail: str


def fp16_answers(built: Built, device: str, examples: Sequence[Example]) -> Check:
    """fp16 on the device against fp32 on the CPU, with the figures of both."""
    half = Engine.load(built.fp16, options=SessionOptions(PROVIDERS[device]))
    full = Engine.load(built.fp32, options=SessionOptions(CPU))
    ours, mine = evaluate.evaluate(half, examples)
    theirs, reference = evaluate.evaluate(full, examples)
    same = sum(mine[e.id].best == reference[e.id].best for e in examples)
    furthest = max(
        abs(mine[e.id].null_score_diff - reference[e.id].null_score_diff) for e in examples
    )
    return Check(
        "fp16 answers as fp32",
        same >= _SAME_ANSWERS * len(examples),
        f"{same} of {len(examples)} best spans are the same; null scores differ by at most "
        f"{furthest:.3f}; EM/F1 fp16 {_figures(ours)}, fp32 {_figures(theirs)}",
    )


def graph_answers(built: Built, device: str, examples: Sequence[Example]) -> Check:
    """Logits of replayed CUDA graphs against the same buckets without graphs."""
    name = "CUDA graph as no graph"
    if device == "cpu":
        return _not_here(name)
    engines = [
        Engine.load(built.fp16, options=SessionOptions(PROVIDERS[device], cuda_graph=graph))
        for graph in (True, False)
    ]
    engines[0].warm_up()
    return _compare(name, engines, examples, _REPLAYED)


def binding_answers(built: Built, device: str, examples: Sequence[Example]) -> Check:
    """Logits of `session.run` against those of IOBinding, on a GPU padded to buckets."""
    folder = built.fp16 if device == "cuda" else built.fp32
    options = [
        SessionOptions(PROVIDERS[device], io_binding=bound, cuda_graph=False)
        for bound in (True, False)
    ]
    engines = [Engine.load(folder, options=own) for own in options]
    tolerance = _OTHER_SHAPES[read_spec(folder).precision]
    return _compare("IOBinding as plain run", engines, examples, tolerance)


def fused_attention(built: Built, device: str) -> Check:
    """No Attention of the fp16 model may fall back to unfused kernels, at any length."""
    name = "attention is fused"
    if device == "cpu":
        return _not_here(name)
    return fused(name, gpu_attention.kernels(built.fp16), len(read_spec(built.fp16).layers))


def fused(name: str, kernels: dict[int, list[str]], layers: int) -> Check:
    """Judges what `gpu_attention.kernels` found."""
    whole = bool(kernels) and all(len(found) >= layers for found in kernels.values())
    unfused = sum(found.count(gpu_attention.UNFUSED) for found in kernels.values())
    return Check(
        name,
        whole and not unfused,
        "; ".join(
            f"{length} tokens: {', '.join(sorted(set(found))) or 'nothing was reported'}"
            for length, found in kernels.items()
        )
        or "nothing was reported",
    )


def read_examples(path: Path, every: int) -> list[Example]:
    """Every n-th question of a SQuAD file; raises SourceError."""
    return squad.read(path)[::every]


def _compare(
    name: str, engines: Sequence[Engine], examples: Sequence[Example], tolerance: float
) -> Check:
    # In one call, so that features are grouped, and one by one.
    questions = [Question(example.question, example.context) for example in examples]
    features = engines[0].prepare(questions)
    ours, theirs = (
        [
            *engine.run(features),
            *(logits for feature in features for logits in engine.run([feature])),
        ]
        for engine in engines
    )
    pairs = [
        pair
        for one, other in zip(ours, theirs, strict=True)
        for pair in zip(one, other, strict=True)
    ]
    difference = max(float(np.abs(a - b).max()) for a, b in pairs)
    largest = max(float(np.abs(b).max()) for _, b in pairs)
    return Check(
        name,
        difference <= tolerance * max(1.0, largest),
        f"logits of {len(features)} features, grouped and alone, differ by at most "
        f"{difference:.1e}; the largest is {largest:.1f}",
    )


def _not_here(name: str) -> Check:
    return Check(name, None, "needs CUDA")


def _figures(scores: metrics.Scores) -> str:
    return f"{scores.exact_match:.2f}/{scores.f1:.2f}"
