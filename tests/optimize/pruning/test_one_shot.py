"""Pruning from questions: planted structure leaves first, bounds hold, losses are made up for."""

from dataclasses import replace

import pytest
import torch

from optimize.errors import SourceError
from optimize.evaluation.parity import QUESTIONS
from optimize.progress import Progress
from optimize.pruning import costs
from optimize.pruning.bound import Bound
from optimize.pruning.one_shot import prune
from optimize.pruning.sequences import Sequences
from optimize.recipe import Measurement, Recipe, Serving
from optimize.source import checkpoint
from optimize.source.assembly import build_module
from optimize.source.compaction import density
from optimize.source.family import family_of
from tests.optimize.source import sources
from tests.optimize.source.sources import HEAD_SIZE, HEADS, HIDDEN, LAYERS, WIDTH

LENGTH = sources.MAX_SEQ_LENGTH


@pytest.fixture(params=sources.KINDS)
def kind(request):
    return request.param


def recipe(bound, **changes):
    given = {"serving": Serving(max_seq_length=LENGTH), "measurement": Measurement(threads=1)}
    return Recipe(model="", output="", prune=bound, **given | changes)


def pruned(source, bound, seed=0, **changes):
    return prune(source, QUESTIONS, recipe(bound, **changes), Progress(), seed=seed)


def logits(source, compacted):
    """Start and end logits of the real tokens of all questions."""
    module = build_module(dict(compacted.state), source.config, compacted.layers)
    inputs = family_of(source.config).inputs
    batches = Sequences(source.folder, QUESTIONS, inputs, source.config.pad_token_id, LENGTH)
    found = []
    with torch.inference_mode():
        for batch in batches:
            output, real = module(**batch), batch["attention_mask"].bool()
            found += [output.start_logits[real], output.end_logits[real]]
    return torch.cat(found)


def distance(source, one, other):
    """Root mean square of the difference over that of the logits."""
    wanted = logits(source, other)
    return float((logits(source, one) - wanted).norm() / wanted.norm())


@torch.no_grad()
def plant(model):
    """Heads and neurons that do nothing, without a single zero among their weights."""
    for _, _, value, output, inner, outer in sources.linears(model):
        # A head whose values are all alike brings a constant.
        rows = slice(HEAD_SIZE, 2 * HEAD_SIZE)
        value.weight[rows] = 1e-6
        # Neurons that stay far below zero, where GELU is zero.
        inner.weight[8:24] *= 0.01
        inner.bias[8:24] = -30.0
        output.weight[:, rows] *= 5
        outer.weight[:, 8:24] *= 5


# What is left when all that was planted is gone, and nothing else.
LEFT = (LAYERS * (4 * HIDDEN * HEAD_SIZE * (HEADS - 1) + 2 * HIDDEN * (WIDTH - 16))) / (
    LAYERS * (4 * HIDDEN * HEAD_SIZE * HEADS + 2 * HIDDEN * WIDTH)
)


def test_what_provably_does_nothing_leaves_first(kind, tmp_path):
    source = checkpoint.load(str(sources.write(kind, tmp_path / "source", change=plant)))
    whole = pruned(source, Bound("density", 1.0))
    found = pruned(source, Bound("density", LEFT + 1e-3))
    assert found.chosen
    assert {(s.heads, s.feed_forward) for s in found.compacted.layers} == {(HEADS - 1, WIDTH - 16)}
    assert distance(source, found.compacted, whole.compacted) < 0.01


@pytest.mark.parametrize("bound", [Bound("density", 0.4), Bound("flops", 0.5, 40)])
def test_bounds_hold_and_are_used_up(kind, bound, tmp_path):
    source = checkpoint.load(str(sources.write(kind, tmp_path / "source")))
    found = pruned(source, bound)
    prices = {
        "density": costs.of_weights(source.config),
        "flops": costs.of_operations(source.config, bound.length),
    }[bound.kind]
    # The smallest thing that could have stayed too is a head of one layer.
    one_more = max(prices.heads[1], prices.neurons[8])
    assert bound.value - one_more < prices.total(found.compacted.layers) <= bound.value
    assert found.compacted.density == density(found.compacted.layers, source.config)
    assert all(s.feed_forward % 8 == 0 for s in found.compacted.layers)


def test_least_squares_make_up_for_what_left(kind, tmp_path, monkeypatch):
    source = checkpoint.load(str(sources.write(kind, tmp_path / "source")))
    whole = pruned(source, Bound("density", 1.0))
    bound = Bound("density", 0.7)
    fitted = pruned(source, bound)
    monkeypatch.setattr("optimize.pruning.one_shot.refit", lambda *_, **__: None)
    cut = pruned(source, bound)
    assert cut.compacted.layers == fitted.compacted.layers
    before, after = (distance(source, p.compacted, whole.compacted) for p in (cut, fitted))
    assert after < 0.8 * before


@torch.no_grad()
def empty(model):
    """A layer whose neurons bring nothing at all, whatever they are given."""
    *_, inner, _ = sources.linears(model)[1]
    inner.weight.zero_()
    inner.bias.zero_()


@torch.no_grad()
def averaging(model):
    """Heads that only average."""
    for query, *_ in sources.linears(model):
        query.weight[: 2 * HEAD_SIZE] = 0


def test_a_layer_that_does_nothing_is_no_obstacle(tmp_path):
    source = checkpoint.load(str(sources.write("bert", tmp_path / "source", change=empty)))
    found = pruned(source, Bound("density", 0.4))
    assert found.compacted.density <= 0.4
    assert torch.isfinite(logits(source, found.compacted)).all()


def test_what_lossy_removal_took_is_made_up_for(tmp_path):
    source = checkpoint.load(str(sources.write("bert", tmp_path / "source", change=averaging)))
    whole = pruned(source, Bound("density", 1.0)).compacted
    lossy = pruned(source, Bound("density", 1.0), allow_lossy=True).compacted
    found = pruned(source, Bound("density", 0.5), allow_lossy=True).compacted
    assert found.lossy_heads == 2 * LAYERS
    assert distance(source, found, whole) < 0.5 * distance(source, lossy, whole)


def test_linear_layers_without_biases_get_those_that_make_up(tmp_path):
    source = checkpoint.load(str(sources.write("bert", tmp_path / "source")))
    bare = {n: w for n, w in source.state.items() if ".dense.bias" not in n}
    source = replace(source, state=bare)
    found = pruned(source, Bound("density", 0.6)).compacted
    assert found.density <= 0.6
    assert any(
        found.state[f"bert.encoder.layer.{n}.output.dense.bias"].any() for n in range(LAYERS)
    )


def test_a_model_that_was_pruned_can_be_pruned_again(tmp_path):
    source = checkpoint.load(str(sources.write("bert", tmp_path / "source")))
    first = pruned(source, Bound("density", 0.7)).compacted
    second = pruned(replace(source, state=first.state), Bound("density", 0.4)).compacted
    assert second.density <= 0.4 < first.density
    for before, after in zip(first.layers, second.layers, strict=True):
        assert after.heads <= before.heads
        assert after.feed_forward <= before.feed_forward


def test_the_same_seed_gives_the_same_model(tmp_path):
    source = checkpoint.load(str(sources.write("bert", tmp_path / "source")))
    bound = Bound("density", 0.5)
    one, same = (pruned(source, bound, seed=1).compacted for _ in range(2))
    assert one.layers == same.layers
    assert all(torch.equal(one.state[name], same.state[name]) for name in one.state)
    # Of what another seed draws the same structures may follow, but hardly of each of four.
    others = [pruned(source, bound, seed=seed).compacted for seed in range(2, 6)]
    assert not all(
        one.layers == other.layers
        and all(torch.equal(one.state[name], other.state[name]) for name in one.state)
        for other in others
    )


def test_what_is_within_the_bound_stays_as_it_is(tmp_path):
    source = checkpoint.load(str(sources.write("bert", tmp_path / "source")))
    found = pruned(source, Bound("density", 1.0))
    assert not found.chosen
    assert found.notes["density"] == "1 from the beginning"
    assert all(torch.equal(source.state[n], w) for n, w in found.compacted.state.items())


def test_a_bound_that_no_model_meets_is_refused(tmp_path):
    source = checkpoint.load(str(sources.write("bert", tmp_path / "source")))
    message = r"cannot be pruned to density 0.01: one head and 8 neurons in each layer .* 0\.2143"
    with pytest.raises(SourceError, match=message):
        pruned(source, Bound("density", 0.01))


def test_latency_is_a_bound_too(tmp_path):
    source = checkpoint.load(str(sources.write("bert", tmp_path / "source")))
    with pytest.raises(SourceError, match="the model takes 64 tokens at most; see --prune-length"):
        pruned(source, Bound("latency", 1.0, 65))
    with pytest.raises(SourceError, match=r"cannot be pruned to latency 1e-06 ms at 32 tokens"):
        pruned(source, Bound("latency", 1e-6, 32))
    found = pruned(source, Bound("latency", 1e6, 32))
    assert not found.chosen
    assert found.notes["pruned to"] == "latency 1e+06 ms at 32 tokens"


@torch.no_grad()
def zeros(model):
    sources.mask(model)


def test_zeros_leave_before_anything_is_chosen(tmp_path):
    source = checkpoint.load(str(sources.write("bert", tmp_path / "source", change=zeros)))
    found = pruned(source, Bound("density", 0.9))
    assert not found.chosen
    assert [(s.heads, s.feed_forward) for s in found.compacted.layers] == list(
        zip(sources.KEPT_HEADS, sources.KEPT_WIDTHS, strict=True)
    )
