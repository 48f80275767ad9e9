"""Moments, next to those of every token by itself."""

import pytest
import torch

from optimize.pruning import moments
from optimize.pruning.moments import collect, projections
from optimize.source.family import family_of
from tests.optimize.source import sources


def batch(network, rows, longest, lengths, seed=0):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, 50, (rows, longest), generator=generator)
    mask = (torch.arange(longest) < torch.tensor(lengths)[:, None]).long()
    pad = network.config.pad_token_id or 0
    fed = {
        "input_ids": torch.where(mask.bool(), ids, pad),
        "attention_mask": mask,
        "token_type_ids": torch.zeros_like(ids),
    }
    return {name: fed[name] for name in family_of(network.config).inputs}


@pytest.mark.parametrize("kind", sources.KINDS)
def test_they_are_sums_over_the_real_tokens(kind, monkeypatch):
    network = sources.network(kind, vocab_size=50).double()
    family = family_of(network.config)
    names = [name for layer in range(sources.LAYERS) for name in projections(family, layer)]
    fed = batch(network, 3, 12, (12, 5, 9))
    monkeypatch.setattr(moments, "drawn_likelihood", likelihood)
    found = collect(network, names, [fed])
    inputs, gradients = by_hand(network, names, fed)
    for name in names:
        assert torch.allclose(found[name].inputs, inputs[name])
        assert torch.allclose(found[name].gradients, gradients[name], atol=1e-12)


def likelihood(output, real, _=None):
    """Of the first token: what is drawn depends on how much there is to draw from."""
    logits = (output.start_logits, output.end_logits)
    return sum(each.masked_fill(~real, -torch.inf).log_softmax(-1)[:, 0].sum() for each in logits)


def by_hand(network, names, fed):
    inputs, gradients = {}, {}
    real = fed["attention_mask"].bool()
    seen = {}
    handles = []
    for name in names:

        def keep(_, given, output, name=name):
            output.retain_grad()
            seen[name] = given[0].detach(), output

        handles.append(network.get_submodule(name).register_forward_hook(keep))
    likelihood(network(**fed), real).backward()
    for handle in handles:
        handle.remove()
    for name, (given, output) in seen.items():
        places = real.nonzero().tolist()
        rows = [torch.cat([given[r, t], torch.ones(1, dtype=given.dtype)]) for r, t in places]
        inputs[name] = sum(torch.outer(row, row) for row in rows) / len(rows)
        grads = [output.grad[r, t] for r, t in places]
        gradients[name] = sum(torch.outer(g, g) for g in grads) / len(real)
    return inputs, gradients


def test_padding_changes_nothing(monkeypatch):
    monkeypatch.setattr(moments, "drawn_likelihood", likelihood)
    network = sources.network("bert", vocab_size=50).double()
    names = projections(family_of(network.config), 1)
    short = batch(network, 2, 8, (8, 8))
    padded = {name: torch.nn.functional.pad(ids, (0, 5)) for name, ids in short.items()}
    one, other = (collect(network, names, [fed]) for fed in (short, padded))
    for name in names:
        assert torch.allclose(one[name].inputs, other[name].inputs)
        assert torch.allclose(one[name].gradients, other[name].gradients)


def test_answers_are_drawn_from_the_model_and_from_real_tokens():
    class Output:
        start_logits = end_logits = torch.tensor([[0.0, 1.0, 2.0, 9.0]]).log().repeat(20_000, 1)

    real = torch.tensor([[True, True, True, False]]).repeat(20_000, 1)
    total = moments.drawn_likelihood(Output, real, torch.Generator().manual_seed(0))
    # The mean likelihood of a draw is the entropy of (0, 1/3, 2/3), twice for start and end.
    assert float(total) / 20_000 == pytest.approx(-2 * 0.6365, abs=0.02)
