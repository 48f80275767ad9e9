"""What heads and neurons take on the machine at hand: measured, as ZipLM prunes by it.

(Kurtic et al., NeurIPS 2023.) Small encoders, all layers of one shape, go through export and fusion
like the model itself, and are run in turns. Attention is measured for each number of heads with a
feed-forward as narrow as can be, the feed-forward at some widths with a single head; between
these it is interpolated. Embeddings, normalizations and what else a layer has are in the constant.
"""

from __future__ import annotations

import copy
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from optimize.graph import export, fusion
from optimize.pruning.costs import Costs, sizes
from optimize.source import assembly
from optimize.source.compaction import WIDTH_MULTIPLE
from optimize.source.family import family_of
from predictor.artifact import MODEL_FILES, ArtifactSpec, LayerShape
from predictor.sessions.ort import OrtSession
from predictor.sessions.protocol import SessionOptions
from predictor.types import Batch

# Layers of an encoder that is measured, at most: enough for their weights not to stay in caches.
_LAYERS = 4
_WIDTHS = 8
_OPSET = 18
_BURN_IN_ROUNDS = 2
ROUNDS = 15
TURNS = ROUNDS + _BURN_IN_ROUNDS

_Key = TypeVar("_Key")
_Shape = tuple[int, LayerShape]
"""How many layers there are, and of which shape."""


def measure(
    config: Any,
    length: int,
    *,
    threads: int,
    target: str,
    scratch: Path,
    rounds: int = ROUNDS,
    advance: Callable[[], None] = lambda: None,
) -> Costs:
    """Milliseconds of one sequence, by heads and by widths.

    Args:
        config: The configuration of the unpruned model.
        length: Tokens.
        threads: Of a run.
        target: cpu or cuda.
        scratch: An empty folder.
        rounds: Measurements of each encoder; the median counts.
        advance: Called after each encoder made and each round.
    """
    heads, width = sizes(config)
    layers = min(int(config.num_hidden_layers), _LAYERS)
    least = LayerShape(heads=1, feed_forward=min(WIDTH_MULTIPLE, width))
    widths = _widths(width)
    shapes: list[_Shape] = [(config.num_hidden_layers, least), (layers, least)]
    shapes += [(layers, least.model_copy(update={"heads": n})) for n in range(2, heads + 1)]
    shapes += [(layers, least.model_copy(update={"feed_forward": n})) for n in widths[1:]]
    shapes = list(dict.fromkeys(shapes))
    sessions = {}
    for shape in shapes:
        folder = scratch / f"{shape[0]}-{shape[1].heads}-{shape[1].feed_forward}"
        folder.mkdir()
        sessions[shape] = encoder(
            config, [shape[1]] * shape[0], folder, length=length, threads=threads, target=target
        )
        advance()
    found = medians(sessions, config, length, rounds, advance)
    base = found[layers, least]

    def each(shape: LayerShape) -> float:
        return (found[layers, shape] - base) / float(layers)

    by_head = [0.0, *(each(least.model_copy(update={"heads": n})) for n in range(1, heads + 1))]
    by_width = [each(least.model_copy(update={"feed_forward": n})) for n in widths]
    # Less of a layer never takes longer, however a measurement scatters.
    by_head, by_width = (list(np.maximum.accumulate(values)) for values in (by_head, by_width))
    return Costs(
        np.array(by_head),
        np.interp(np.arange(width + 1), widths, by_width),
        constant=found[config.num_hidden_layers, least],
    )


def encoders(config: Any) -> int:
    """How many encoders `measure` makes."""
    heads, width = sizes(config)
    return heads + len(_widths(width)) - 1 + int(config.num_hidden_layers > _LAYERS)


def _widths(width: int) -> list[int]:
    """Where the feed-forward is measured, evenly spread in multiples of eight."""
    steps = np.linspace(
        min(WIDTH_MULTIPLE, width), width, min(_WIDTHS, width // WIDTH_MULTIPLE + 1)
    )
    inner = {int(step) // WIDTH_MULTIPLE * WIDTH_MULTIPLE for step in steps[:-1]}
    return sorted({*inner, width} - {0})


def encoder(
    config: Any,
    layers: Sequence[LayerShape],
    folder: Path,
    *,
    length: int,
    threads: int,
    target: str,
) -> OrtSession:
    """A fused encoder of these layers with random weights and a small vocabulary, loaded."""
    family = family_of(config)
    config = copy.deepcopy(config)
    config.num_hidden_layers = len(layers)
    # Fusion tells the tables of words and of positions apart by which is longer.
    config.vocab_size = max(config.max_position_embeddings, config.pad_token_id or 0) + 1
    module = assembly.random_module(config, layers)
    raw, path = folder / "raw.onnx", folder / MODEL_FILES["onnx"]
    export.export(module, raw, opset=_OPSET)
    expected = family.fused_operators(config, target)
    fusion.fuse(raw, path, target=target, expected=expected, allow_unfused=True)
    raw.unlink()
    spec = ArtifactSpec.model_construct(
        format="onnx",
        precision="fp32",
        target=target,
        inputs=family.inputs,
        pad_token_id=config.pad_token_id or 0,
        max_seq_length=length,
    )
    return OrtSession(spec, folder, SessionOptions(threads=threads))


def medians(
    sessions: Mapping[_Key, OrtSession],
    config: Any,
    length: int,
    rounds: int = ROUNDS,
    advance: Callable[[], None] = lambda: None,
) -> dict[_Key, float]:
    """Median milliseconds of each, in rounds of an order shuffled anew; two are dropped."""
    order, ids = random.Random(0), np.random.default_rng(0)
    inputs = family_of(config).inputs
    ms: dict[_Key, list[float]] = {shape: [] for shape in sessions}
    shapes = list(sessions)
    for round_ in range(_BURN_IN_ROUNDS + rounds):
        order.shuffle(shapes)
        for shape in shapes:
            row = ids.integers(3, config.max_position_embeddings, (1, length))
            values = {"input_ids": row, "attention_mask": np.ones_like(row)}
            batch: Batch = {name: values.get(name, np.zeros_like(row)) for name in inputs}
            started = time.perf_counter()
            sessions[shape].run(batch)
            if round_ >= _BURN_IN_ROUNDS:
                ms[shape].append(1e3 * (time.perf_counter() - started))
        advance()
    return {shape: statistics.median(values) for shape, values in ms.items()}
