"""A signal waits for the step to end, and what was done with it before is done again after."""

import os
import signal

import pytest

from optimize.training.interruption import interruptible


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_noted_and_nothing_is_interrupted(number):
    before = signal.getsignal(number)
    with interruptible() as interrupted:
        assert interrupted() == 0
        os.kill(os.getpid(), number)
        assert interrupted() == number
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_does_not_wait():
    with interruptible():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
