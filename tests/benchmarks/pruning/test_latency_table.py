"""How far the places by two measures are apart."""

import pytest
from transformers import BertConfig

from benchmarks.pruning.latency_table import main, rank_error, shapes
from optimize.errors import GateFailed
from optimize.pruning import latency_table


def test_the_same_order_has_no_error_whatever_the_unit():
    assert rank_error({0: 1.0, 1: 2.0, 2: 3.0}, {0: 10.0, 1: 11.0, 2: 90.0}) == 0


def test_two_neighbours_that_change_places():
    measured = dict(enumerate([1.0, 2.0, 3.0, 4.0]))
    assert rank_error({0: 1.0, 1: 3.0, 2: 2.0, 3: 4.0}, measured) == pytest.approx(2 / 4 / 4)


def test_the_reverse_is_the_worst():
    measured = dict(enumerate([1.0, 2.0, 3.0, 4.0]))
    assert rank_error({place: -ms for place, ms in measured.items()}, measured) == 0.5


def test_shapes_are_drawn_within_the_model_and_the_same_for_a_seed():
    config = BertConfig(num_hidden_layers=3, num_attention_heads=4, intermediate_size=48)
    drawn = shapes(config, 50, seed=1)
    assert drawn == shapes(config, 50, seed=1) != shapes(config, 50, seed=2)
    layers = [layer for encoder in drawn for layer in encoder]
    assert len(layers) == 150
    assert {layer.heads for layer in layers} == {1, 2, 3, 4}
    assert {layer.feed_forward for layer in layers} == {8, 16, 24, 32, 40, 48}


def test_what_cannot_be_measured_is_said_in_a_line(tmp_path, monkeypatch, checkpoint, capsys):
    assert main(["--model", str(tmp_path / "nowhere")]) == 1

    def fails(*_, **__):
        raise GateFailed("export: differs")

    monkeypatch.setattr(latency_table, "measure", fails)
    assert main(["--model", str(checkpoint)]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert "nowhere" in first
    assert second == "benchmarks.pruning.latency_table: error: export: differs"
