"""Masks while training, and what is left of them after it."""

import pytest
import torch

from optimize.errors import SourceError
from optimize.source import compaction
from optimize.source.assembly import build_module
from optimize.source.family import family_of
from optimize.training.movement import Movement, weights_and_scores
from optimize.training.settings import MovementSettings
from tests.optimize.source import sources
from tests.optimize.source.sources import HEAD_SIZE, HIDDEN, LAYERS, WIDTH

SETTINGS = MovementSettings(block_size=HEAD_SIZE, regularization=2.0)


def masked(kind="bert", settings=SETTINGS):
    network = sources.network(kind, vocab_size=50)
    return network, Movement(network, family_of(network.config), LAYERS, settings)


def given(network):
    ids = torch.arange(3, 33).view(2, 15)
    fed = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    with torch.no_grad():
        output = network(**fed)
    return torch.stack([output.start_logits, output.end_logits])


@pytest.mark.parametrize("kind", sources.KINDS)
def test_at_the_beginning_nothing_is_masked(kind):
    before = given(sources.network(kind, vocab_size=50))
    network, movement = masked(kind)
    movement.at(0, 100)
    assert torch.equal(given(network), before)
    assert movement.share() == 1
    weights, scores = weights_and_scores(network)
    # Four matrices of attention have their own, the feed-forward shares one.
    assert len(scores) == 5 * LAYERS
    assert {tuple(s.shape) for s in scores.values()} == {(4, 4), (WIDTH,)}
    assert sum(w.numel() for w in weights.values()) == sum(
        w.numel() for w in sources.network(kind, vocab_size=50).parameters()
    )


def test_the_gradient_of_a_mask_is_its_score_s():
    network, movement = masked()
    movement.at(99, 100)
    linear = network.bert.encoder.layer[1].attention.self.value
    mask = linear.parametrizations.weight[0]
    given_ = torch.randn(7, HIDDEN, generator=torch.Generator().manual_seed(0))
    (linear(given_) ** 2).sum().backward()
    weight = linear.parametrizations.weight.original.detach()
    direct = weight.clone().requires_grad_()
    (torch.nn.functional.linear(given_, direct, linear.bias.detach()) ** 2).sum().backward()
    blocks = (direct.grad * weight).view(4, HEAD_SIZE, 4, HEAD_SIZE).sum((1, 3))
    assert torch.allclose(mask.scores.grad, blocks, rtol=1e-4, atol=1e-3)


def test_the_threshold_rises_as_a_cubic_between_two_holds():
    settings = MovementSettings(final_threshold=0.1, hold_start=0.1, hold_end=0.4)
    at = [settings.threshold(step, 1000) for step in range(1000)]
    assert at[:101] == [0.0] * 101
    assert at[350] == pytest.approx(0.1 * (1 - 0.5**3))
    assert at[600:] == [0.1] * 400
    assert at == sorted(at)


def test_the_penalty_is_half_attention_s_and_half_the_neurons_and_rises_with_the_threshold():
    network, movement = masked()
    _, scores = weights_and_scores(network)
    assert float(movement.penalty(0, 100).detach()) == 0
    assert float(movement.penalty(99, 100).detach()) == pytest.approx(2.0 * 0.5)
    with torch.no_grad():
        for score in scores.values():
            if score.dim() == 1:
                score.fill_(-100)  # whose sigmoid is 0
    assert float(movement.penalty(99, 100).detach()) == pytest.approx(2.0 * 0.25)


@pytest.mark.parametrize("kind", sources.KINDS)
def test_what_is_masked_in_the_end_is_zero_and_leaves(kind):
    network, movement = masked(kind)
    _, scores = weights_and_scores(network)
    with torch.no_grad():
        for name, score in scores.items():
            if score.dim() == 1:
                score[8:] = -5  # all but eight neurons
            elif any(part in name for part in ("value", "v_lin")):
                score[1:] = -5  # all heads but the first
    movement.at(99, 100)
    during = given(network)
    share = movement.share()
    movement.settle()
    assert not any("parametrizations" in name for name in network.state_dict())
    assert torch.allclose(given(network), during, atol=1e-5)
    config = network.config
    compacted = compaction.compact(dict(network.state_dict()), config, allow_lossy=True)
    assert {(s.heads, s.feed_forward) for s in compacted.layers} == {(1, 8)}
    small = build_module(compacted.state, config, compacted.layers)
    assert torch.allclose(given(small), during, atol=1e-4)
    assert compacted.density < share < 1


def test_of_every_matrix_something_is_kept():
    network, movement = masked()
    _, scores = weights_and_scores(network)
    with torch.no_grad():
        for score in scores.values():
            score.fill_(-50)
            score.view(-1)[3] = -49
    movement.at(99, 100)
    movement.settle()
    for *attention, inner, outer in sources.linears(network):
        for linear in attention:
            assert int((linear.weight != 0).sum()) == HEAD_SIZE**2
        assert (inner.weight[3] != 0).all()
        assert int((inner.weight != 0).sum()) == HIDDEN
        assert int((outer.weight != 0).sum()) == HIDDEN


def test_blocks_must_fit():
    with pytest.raises(SourceError, match=r"--block-size 5 does not divide .*query, \(32, 32\)"):
        masked(settings=MovementSettings(block_size=5))
