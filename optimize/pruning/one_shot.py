"""A checkpoint and some questions → a smaller model, without training.

The parts of Kwon et al. (NeurIPS 2022, arXiv 2204.09656) in their order, each in a stronger form:
the search for what leaves by the Fisher information (`moments`), under a bound of cost
(`allocation`); its rearrangement, as each removal is priced given those before it (`elimination`);
and least squares for what is left (`refit`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn

from optimize.errors import SourceError
from optimize.evaluation import benchmark
from optimize.memory import freed_afterwards
from optimize.progress import Progress
from optimize.pruning import costs, latency_table
from optimize.pruning.allocation import Options, allocate
from optimize.pruning.bound import Bound
from optimize.pruning.costs import Costs
from optimize.pruning.elimination import Elimination, eliminate
from optimize.pruning.moments import collect, linear_of, projections
from optimize.pruning.refit import refit
from optimize.pruning.sequences import Sequences
from optimize.recipe import Recipe
from optimize.source import assembly, compaction
from optimize.source.checkpoint import Checkpoint, State
from optimize.source.compaction import WIDTH_MULTIPLE, Compacted
from optimize.source.family import family_of
from predictor.artifact import LayerShape
from predictor.sessions.cpu import available_cpus
from predictor.types import Question

# Sums of costs in another order differ by less.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Pruned:
    """The smaller model.

    Attributes:
        compacted: Its weights and layers.
        notes: What a report says of how it came about.
        chosen: Whether more left than what is zero.
    """

    compacted: Compacted
    notes: dict[str, Any]
    chosen: bool = False


@freed_afterwards
def prune(
    checkpoint: Checkpoint,
    questions: Sequence[Question],
    recipe: Recipe,
    progress: Progress,
    *,
    seed: int = 0,
) -> Pruned:
    """Prunes a checkpoint to the recipe's bound; what is zero in it leaves first, at no loss.

    Args:
        checkpoint: Dense, masked, or compacted already; it is not changed.
        questions: Training questions; answers are not needed.
        recipe: Its bound, longest sequence, threads, and the target that latency is measured for.
        progress: Where to show it.
        seed: Of the answers that the Fisher information is taken on.

    Raises:
        SourceError: The bound cannot be reached, or weights and configuration do not fit.
    """
    bound, config = recipe.prune, checkpoint.config
    start = compaction.compact(checkpoint.state, config, allow_lossy=recipe.allow_lossy)
    if bound is None:
        return Pruned(start, start.notes)
    start = replace(start, state=_with_biases(start.state, config))
    torch.set_num_threads(recipe.measurement.threads or available_cpus())
    prices = _costs(config, bound, recipe, progress)
    before = prices.total(start.layers)
    notes = {"pruned to": str(bound), "pruned on": f"{len(questions)} questions"}
    if before <= bound.value:
        return Pruned(start, start.notes | notes | {bound.kind: f"{before:.4g} from the beginning"})
    _check_reachable(start, prices, bound)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dense = assembly.build_module(dict(start.state), config, start.layers).to(device)
    batches = _batches(checkpoint, questions, recipe)
    orders = _orders(dense, config, batches, progress, seed)
    kept = _kept(orders, start, prices, bound)
    smaller = compaction.compact(_masked(start.state, config, orders, kept), config)
    if start.lossy_heads:
        # What the lossless model computes is what is to be made up for.
        whole = compaction.compact(checkpoint.state, config)
        dense = assembly.build_module(dict(whole.state), config, whole.layers).to(device)
    with progress.task("least squares: layers", len(smaller.layers)) as advance:
        state = _refitted(smaller, dense, config, batches, advance)
    unit = " ms by the table" if bound.kind == "latency" else ""
    notes |= smaller.notes | {
        bound.kind: f"{prices.total(smaller.layers):.4g}, {before:.4g} before{unit}",
        "heads/neurons kept": " ".join(f"{s.heads}/{s.feed_forward}" for s in smaller.layers),
        "expected loss": f"{_loss(orders, kept):.4f} nats per question, part by part",
    }
    found = replace(smaller, state=state, lossy_heads=start.lossy_heads)
    return Pruned(found, notes, chosen=True)


def _with_biases(state: State, config: Any) -> State:
    """The weights with a bias after heads and neurons, zero where there was none.

    A removal is made up for with it.
    """
    filled = dict(state)
    for name, _ in _parts(config):
        weight = filled[f"{name}.weight"]
        filled.setdefault(f"{name}.bias", weight.new_zeros(len(weight)))
    return filled


def _batches(checkpoint: Checkpoint, questions: Sequence[Question], recipe: Recipe) -> Sequences:
    config = checkpoint.config
    family = family_of(config)
    longest = min(family.longest(config), recipe.serving.max_seq_length or 512)
    return Sequences(checkpoint.folder, questions, family.inputs, config.pad_token_id or 0, longest)


def _masked(state: State, config: Any, orders: Sequence[Elimination], kept: Sequence[int]) -> State:
    """The weights with zeros where what leaves goes into a projection."""
    masked = dict(state)
    for (name, size), order, left in zip(_parts(config), orders, kept, strict=True):
        gone = torch.tensor(order.order[: len(order.order) - left], dtype=torch.int64)
        columns = (gone[:, None] * size + torch.arange(size)).flatten()
        masked[f"{name}.weight"] = masked[f"{name}.weight"].index_fill(1, columns, 0)
    return masked


def _refitted(
    smaller: Compacted,
    dense: nn.Module,
    config: Any,
    batches: Sequences,
    advance: Callable[[], None],
) -> State:
    """The weights after least squares."""
    own = {name: weight.clone() for name, weight in smaller.state.items()}
    module = assembly.build_module(own, config, smaller.layers)
    module.to(next(dense.parameters()).device)
    refit(module, dense, family_of(config), len(smaller.layers), batches, advance=advance)
    state = module.state_dict()
    return {name: state[name].cpu().contiguous() for name in own}


def _costs(config: Any, bound: Bound, recipe: Recipe, progress: Progress) -> Costs:
    if bound.kind == "density":
        return costs.of_weights(config)
    if bound.kind == "flops":
        return costs.of_operations(config, bound.length)
    longest = min(family_of(config).longest(config), 512)
    if bound.length > longest:
        raise SourceError(f"{bound}: the model takes {longest} tokens at most; see --prune-length")
    if not benchmark.measurable(recipe.target):
        raise SourceError(f"{bound}: this machine has no CUDA provider to measure it with")
    total = latency_table.encoders(config) + latency_table.TURNS
    with (
        TemporaryDirectory(prefix="optimize-") as scratch,
        progress.task("latency table: encoders, rounds", total) as advance,
    ):
        return latency_table.measure(
            config,
            bound.length,
            threads=recipe.measurement.threads or available_cpus(),
            target=recipe.target,
            scratch=Path(scratch),
            advance=advance,
        )


def _check_reachable(start: Compacted, prices: Costs, bound: Bound) -> None:
    least = [_least(shape) for shape in start.layers]
    if (lowest := prices.total(least)) > bound.value * (1 - _ROUNDING):
        raise SourceError(
            f"cannot be pruned to {bound}: one head and {least[0].feed_forward} neurons in each "
            f"layer already come to {math.ceil(lowest * 1e4) / 1e4:g}"
        )


def _least(shape: LayerShape) -> LayerShape:
    return LayerShape(heads=1, feed_forward=min(WIDTH_MULTIPLE, shape.feed_forward))


def _parts(config: Any) -> list[tuple[str, int]]:
    """Each projection's name, and how many neighbouring inputs are one structure."""
    family = family_of(config)
    head_size = config.hidden_size // config.num_attention_heads
    return [
        part
        for layer in range(config.num_hidden_layers)
        for part in zip(projections(family, layer), (head_size, 1), strict=True)
    ]


def _orders(
    dense: nn.Module,
    config: Any,
    batches: Sequences,
    progress: Progress,
    seed: int,
) -> list[Elimination]:
    """The order of removal in each part of each layer."""
    parts = _parts(config)
    family = family_of(config)
    dense.requires_grad_(False)
    # Gradients of what layers compute begin here; those of weights are not needed.
    dense.get_submodule(family.layer(0) + family.value).weight.requires_grad_(True)
    names = [name for name, _ in parts]
    with progress.task("Fisher information: batches", len(batches)) as advance:
        moments = collect(dense, names, batches, seed=seed, advance=advance)
    orders = []
    with progress.task("order of removal: projections", len(parts)) as advance:
        for name, size in parts:
            linear = linear_of(dense, name)
            orders.append(
                eliminate(linear.weight.detach(), linear.bias.detach(), moments.pop(name), size)
            )
            advance()
    return orders


def _kept(
    orders: Sequence[Elimination], start: Compacted, prices: Costs, bound: Bound
) -> tuple[int, ...]:
    """How many heads and neurons stay in each layer, heads first."""
    parts = []
    for index, order in enumerate(orders):
        count = len(order.order)
        neurons = index % 2
        step = WIDTH_MULTIPLE if neurons else 1
        table = prices.neurons if neurons else prices.heads
        kept = tuple(sorted({*range(min(step, count), count + 1, step), count}))
        losses = np.array([order.losses[count - left] for left in kept])
        parts.append(Options(kept, table[list(kept)], losses))
    return allocate(parts, bound.value - prices.constant)


def _loss(orders: Sequence[Elimination], kept: Sequence[int]) -> float:
    pairs = zip(orders, kept, strict=True)
    return sum(order.losses[len(order.order) - left] for order, left in pairs)
