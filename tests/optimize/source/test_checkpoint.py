"""Checkpoints that cannot be used are refused by name."""

import json
import shutil

import pytest
import torch

from optimize.errors import SourceError
from optimize.source import assembly, checkpoint, compaction


@pytest.fixture
def copied(checkpoint, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(checkpoint, folder)
    return folder


def test_the_embedded_checkpoint_loads(checkpoint):
    from optimize.source import checkpoint as module

    loaded = module.load(str(checkpoint))
    assert loaded.config.num_hidden_layers == 6
    assert {tensor.dtype for tensor in loaded.state.values()} == {torch.float32}
    assert loaded.sha256 == module.load(str(checkpoint)).sha256


def test_the_embedded_pruned_checkpoint_is_the_smaller_one(checkpoint):
    from optimize.source import checkpoint as module

    dense, pruned = (module.load(str(checkpoint.parent / name)) for name in ("baseline", "pruned"))
    for name in ("hidden_size", "num_attention_heads", "intermediate_size"):
        assert getattr(pruned.config, name) == getattr(dense.config, name)
    assert (pruned.folder / "tokenizer.json").read_bytes() == (
        dense.folder / "tokenizer.json"
    ).read_bytes()
    layers = assembly.layer_shapes(pruned.state, pruned.config)
    assert compaction.density(layers, pruned.config) < 0.9
    # Nothing is left in it that compaction would remove.
    assert compaction.compact(pruned.state, pruned.config).layers == layers


def test_a_folder_that_does_not_exist():
    with pytest.raises(SourceError, match=r"model folder \./nowhere does not exist"):
        checkpoint.load("./nowhere")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tokenizer.json", "no tokenizer.json"),
        ("config.json", "no config.json"),
        ("model.safetensors", "neither model.safetensors nor"),
    ],
)
def test_a_folder_without(copied, name, message):
    (copied / name).unlink()
    with pytest.raises(SourceError, match=message):
        checkpoint.load(str(copied))


def test_damaged_weights(copied):
    (copied / "model.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(SourceError, match="cannot be read"):
        checkpoint.load(str(copied))


def test_empty_weights(copied):
    (copied / "model.safetensors").unlink()
    (copied / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(SourceError, match="cannot be read"):
        checkpoint.load(str(copied))


def test_a_layer_too_many(copied):
    path = copied / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_hidden_layers": 7}))
    loaded = checkpoint.load(str(copied))
    with pytest.raises(SourceError, match="do not fit"):
        assembly.layer_shapes(loaded.state, loaded.config)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"model_type": "t5"}, "'t5' is not supported"), ({"model_type": "nonsense"}, "config.json")],
)
def test_another_kind_of_model(copied, changes, message):
    path = copied / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(SourceError, match=message):
        checkpoint.load(str(copied))


def test_a_name_that_is_no_hub_id():
    with pytest.raises(SourceError, match="neither a folder nor a hub id"):
        checkpoint.load("not a model")
