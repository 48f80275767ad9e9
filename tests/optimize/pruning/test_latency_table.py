"""The table's shape; what it says of time is what `make bench-pruning` holds it to."""

import numpy as np
import pytest

from optimize.pruning import latency_table
from tests.optimize.source import sources
from tests.optimize.source.sources import HEADS, WIDTH


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert"])
def test_it_has_every_number_of_heads_and_every_width(kind, tmp_path):
    config = sources.network(kind, vocab_size=50).config
    steps = []
    found = latency_table.measure(
        config,
        32,
        threads=1,
        target="cpu",
        scratch=tmp_path,
        rounds=2,
        advance=lambda: steps.append(1),
    )
    assert len(found.heads) == HEADS + 1
    assert len(found.neurons) == WIDTH + 1
    assert found.constant > 0
    for table in (found.heads, found.neurons):
        assert table[0] == 0
        assert (np.diff(table) >= 0).all()
    # So many steps were announced, but for the rounds that are dropped.
    assert len(steps) == latency_table.encoders(config) + 2 + 2


def test_widths_are_multiples_of_eight_up_to_the_whole():
    assert latency_table._widths(48) == [8, 16, 24, 32, 40, 48]
    assert latency_table._widths(1536)[0] == 8
    assert latency_table._widths(1536)[-1] == 1536
    assert latency_table._widths(20) == [8, 20]
    assert latency_table._widths(4) == [4]
