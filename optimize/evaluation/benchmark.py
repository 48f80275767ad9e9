"""Latency of every step at every sequence length, interleaved with the baseline.

Method: one request of random tokens at a time, batch 1 unless another is asked for, through the
Session alone (no tokenizer, no HTTP). In each round every step runs once at every length, in an
order shuffled anew, so that whatever else the machine does hits all steps alike. The first two
rounds are dropped.

Steps too large to be in memory together run in groups, which are drawn anew in each round: a
round still has every step once at every length. Their engines are loaded anew in each round, so
each of them runs once at each length before it is measured.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime

from predictor.engine import Engine
from predictor.types import Batch, IntArray, Question

BURN_IN_ROUNDS = 2
_WORDS = "red stone river house green light small bird seven cold winter road open door"


def measurable(target: str) -> bool:
    """Whether this machine has the execution provider that artifacts of a target are for."""
    return target != "cuda" or "CUDAExecutionProvider" in onnxruntime.get_available_providers()


@dataclass(frozen=True)
class Latency:
    """Milliseconds over the rounds."""

    mean_ms: float
    std_ms: float
    p50_ms: float
    p99_ms: float


Grouping = Callable[[Sequence[str]], Sequence[Sequence[str]]]


def together(names: Sequence[str]) -> Sequence[Sequence[str]]:
    """All in one group: what is in memory already, stays there."""
    return [names]


def measure(
    engines: Mapping[str, Engine],
    sequence_lengths: Sequence[int],
    rounds: int,
    advance: Callable[[], None] = lambda: None,
    seed: int = 0,
    rows: int = 1,
    groups: Grouping = together,
) -> dict[str, dict[int, Latency]]:
    """Latency by step and sequence length; lengths that a model does not take are left out.

    Args:
        engines: Step name → loaded engine, all of one tokenizer.
        sequence_lengths: Tokens, special tokens included.
        rounds: Measurements of each step and length.
        advance: Called after each round.
        seed: Of the random tokens and of the order.
        rows: Batch size.
        groups: Splits a round's steps, in their order, into those that are in memory together.
    """
    seconds = sample(engines, sequence_lengths, rounds, advance, seed, rows, groups)
    return {
        name: {
            length: _latency(seconds[name, length])
            for length in sequence_lengths
            if (name, length) in seconds
        }
        for name in engines
    }


def sample(
    engines: Mapping[str, Engine],
    sequence_lengths: Sequence[int],
    rounds: int,
    advance: Callable[[], None] = lambda: None,
    seed: int = 0,
    rows: int = 1,
    groups: Grouping = together,
) -> dict[tuple[str, int], list[float]]:
    """Seconds by step and sequence length, one per round: the same position is the same round.

    The arguments are those of `measure`.
    """
    order = random.Random(seed)
    tokens = np.random.default_rng(seed)
    names = list(engines)
    words: dict[str, IntArray] = {}
    seconds: dict[tuple[str, int], list[float]] = {}
    for round_ in range(BURN_IN_ROUNDS + rounds):
        order.shuffle(names)
        parts = groups(names)
        for part in parts:
            cases = [
                (name, length)
                for name in part
                for length in sequence_lengths
                if length <= engines[name].spec.max_seq_length
            ]
            order.shuffle(cases)
            warming = cases if len(parts) > 1 else []
            for position, (name, length) in enumerate([*warming, *cases]):
                if name not in words:
                    words[name] = _word_ids(engines[name])
                elapsed = _timed(engines[name], words[name], (rows, length), tokens)
                if round_ >= BURN_IN_ROUNDS and position >= len(warming):
                    seconds.setdefault((name, length), []).append(elapsed)
        advance()
    return seconds


def _timed(
    engine: Engine, word_ids: IntArray, shape: tuple[int, int], tokens: np.random.Generator
) -> float:
    # The engine has no name outside of here that would keep it while the next ones are loaded.
    batch = _random_batch(engine, word_ids, shape, tokens)
    started = time.perf_counter()
    engine.session.run(batch)
    return time.perf_counter() - started


def _word_ids(engine: Engine) -> IntArray:
    (feature,) = engine.prepare([Question("which", _WORDS)])
    return feature.input_ids[feature.context_mask]


def _random_batch(
    engine: Engine, word_ids: IntArray, shape: tuple[int, int], tokens: np.random.Generator
) -> Batch:
    values = {"input_ids": tokens.choice(word_ids, shape), "attention_mask": np.ones(shape)}
    return {name: values.get(name, np.zeros(shape)).astype(np.int64) for name in engine.spec.inputs}


def _latency(seconds: Sequence[float]) -> Latency:
    ms = [1e3 * value for value in seconds]
    return Latency(
        mean_ms=statistics.fmean(ms),
        std_ms=statistics.stdev(ms) if len(ms) > 1 else 0.0,
        p50_ms=statistics.median(ms),
        p99_ms=float(np.percentile(ms, 99)),
    )
