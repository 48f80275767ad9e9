"""What is said of a training: means since the last word, and what is no number."""

import logging
import math

import pytest
import torch

from optimize.errors import SourceError
from optimize.training import watch
from optimize.training.watch import Watch


def found(loss, answers=1.0):
    return {"loss": torch.tensor(loss), "answers": torch.tensor(answers)}


def test_the_last_step_is_said_with_the_means(caplog):
    seen = Watch(0, 4)
    with caplog.at_level(logging.INFO, "optimize"):
        for done, loss in enumerate((1.0, 2.0, 3.0, 4.0), 1):
            seen.add(done, found(loss, 0.5), 10, lambda: ", 70.0% kept")
    (record,) = caplog.records
    said = record.getMessage()
    assert said.startswith("step 4 of 4: loss 2.5000, answers 0.5000, 70.0% kept; ")
    assert " tokens/s, done at about " in said


def test_now_and_then_it_says_what_is_new(caplog, monkeypatch):
    monkeypatch.setattr(watch, "_LOG_SECONDS", 0.0)
    seen = Watch(2, 9)
    with caplog.at_level(logging.INFO, "optimize"):
        for done, loss in ((3, 1.0), (4, 5.0)):
            seen.add(done, found(loss), 10, lambda: "")
    assert [r.getMessage().split(",")[0] for r in caplog.records] == [
        "step 3 of 9: loss 1.0000",
        "step 4 of 9: loss 5.0000",
    ]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["loss", "answers"])
def test_what_is_no_number_is_named(name, value):
    seen = Watch(0, 4)
    seen.add(1, found(1.0), 10, lambda: "")
    with pytest.raises(SourceError, match=rf"the {name} is {value} at step 2 of 4; try a lower"):
        seen.add(2, found(1.0) | {name: torch.tensor(value)}, 10, lambda: "")
