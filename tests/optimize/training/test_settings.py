"""The learning rate rises and falls in straight lines."""

import pytest

from optimize.training.settings import TrainingSettings


def test_the_rate_rises_for_the_warm_up_and_falls_to_zero():
    settings = TrainingSettings(learning_rate=1.0, warmup=0.1)
    rates = [settings.rate(step, 100) for step in range(101)]
    assert rates[:10] == pytest.approx([0.1 * n for n in range(1, 11)])
    assert rates[10:] == pytest.approx([(100 - n) / 90 for n in range(10, 101)])
    assert rates[100] == 0


@pytest.mark.parametrize("warmup", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_no_step_of_a_short_run_is_without_a_rate(warmup, steps):
    rates = [
        TrainingSettings(learning_rate=2.0, warmup=warmup).rate(step, steps)
        for step in range(steps)
    ]
    assert all(0 < rate <= 2 for rate in rates)
    assert max(rates) == 2
