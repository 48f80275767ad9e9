"""Whatever other libraries raise becomes one line, but for what is a line already."""

import errno
import os

import pytest

from optimize.errors import GateFailed, SourceError, one_line
from predictor.errors import StartupError


def raised(error, *line, **known):
    with one_line(*line, **known):
        raise error


def test_the_first_line_of_any_error_follows_what_failed():
    with pytest.raises(SourceError, match="^m cannot be converted: no such operator$") as found:
        raised(ValueError("no such operator\nin line 7"), SourceError, "m cannot be converted")
    assert isinstance(found.value.__cause__, ValueError)
    with pytest.raises(GateFailed, match="^int8: does not run: KeyError$"):
        raised(KeyError(), GateFailed, "int8: does not run")


@pytest.mark.parametrize(
    "error",
    [
        GateFailed("int8: F1 is too low"),
        StartupError("cannot be loaded"),
        RuntimeError(f"[write] {os.strerror(errno.ENOSPC)} (os error 28)"),
        KeyboardInterrupt(),
    ],
)
def test_what_says_enough_passes(error):
    with pytest.raises(type(error)) as found:
        raised(error, SourceError, "m cannot be converted")
    assert found.value is error


def test_only_what_is_known_passes():
    with pytest.raises(GateFailed, match="^fp16: does not run: cannot be loaded$"):
        raised(
            StartupError("cannot be loaded"),
            GateFailed,
            "fp16: does not run",
            known=(GateFailed,),
        )
