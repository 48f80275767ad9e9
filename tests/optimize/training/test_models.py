"""A network's outputs are transformers' own; what is frozen is the embeddings."""

import pytest
import torch

from optimize.source import compaction
from optimize.source.checkpoint import Checkpoint
from optimize.training.batches import collate
from optimize.training.models import Network
from tests.optimize.source import sources
from tests.optimize.training.given import source, windows


def batch(network):
    return collate(windows(6), network.family.inputs, network.module.config.pad_token_id)


@pytest.mark.parametrize("kind", sources.KINDS)
@pytest.mark.parametrize("change", [None, sources.mask], ids=["dense", "compacted"])
def test_outputs_are_those_of_transformers(kind, change, tmp_path):
    model = source(kind, tmp_path / "source", change=change)
    state = compaction.compact(model.state, model.config).state
    small = Checkpoint(**{**vars(model), "state": state})
    network = Network.of(small)
    fed = batch(network)
    with torch.no_grad():
        found = network.outputs(fed, hidden=True, bf16=False)
        wanted = Network.of(model).module(**fed.inputs, output_hidden_states=True)
    real = fed.real
    for ours, theirs in ((found.start, wanted.start_logits), (found.end, wanted.end_logits)):
        assert torch.allclose(ours[real], theirs[real], atol=2e-3)
    assert len(found.hidden) == model.config.num_hidden_layers
    for ours, theirs in zip(found.hidden, wanted.hidden_states[1:], strict=True):
        assert torch.allclose(ours[real], theirs[real], atol=1e-3)
    assert not network.outputs(fed, hidden=False, bf16=False).hidden


def test_in_bf16_logits_are_fp32_still(tmp_path):
    network = Network.of(source("bert", tmp_path / "source"))
    fed = batch(network)
    with torch.no_grad():
        exact = network.outputs(fed, hidden=False, bf16=False)
        found = network.outputs(fed, hidden=False, bf16=True)
    assert found.start.dtype == torch.float32
    assert not torch.equal(found.start, found.start.bfloat16().float())
    assert 0 < (found.start - exact.start)[fed.real].abs().max() < 0.1 * exact.start.abs().max()


@pytest.mark.parametrize("kind", sources.KINDS)
def test_only_the_embeddings_are_frozen(kind, tmp_path):
    model = source(kind, tmp_path / "source")
    network = Network.of(model)
    network.freeze_embeddings()
    frozen = {name for name, p in network.module.named_parameters() if not p.requires_grad}
    assert frozen == {name for name in model.state if name.split(".")[1] == "embeddings"}


def test_the_checkpoint_stays_as_it_was_and_dropout_is_the_one_asked_for(tmp_path):
    model = source("distilbert", tmp_path / "source")
    network = Network.of(model, dropout=0.25)
    shares = {m.p for m in network.module.modules() if isinstance(m, torch.nn.Dropout)}
    assert 0.25 in shares
    with torch.no_grad():
        for weight in network.module.parameters():
            weight.zero_()
    assert all(tensor.any() for name, tensor in model.state.items() if name.endswith("weight"))
    assert model.config.dropout == 0.1
