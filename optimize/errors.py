"""Errors of an optimize run, each with the exit status of the process.

OptimizeError           1
├── SourceError         1   the checkpoint or the data set cannot be used
├── PublishError        2   the target holds another build, or something else
│   └── WriteError      1   it cannot be written: full, read-only, not permitted
└── GateFailed          3   the artifact is worse than allowed; nothing is published
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from predictor.errors import PredictorError

logger = logging.getLogger("optimize")

_NO_SPACE = tuple(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT))


class OptimizeError(Exception):
    """Base of every expected failure of a build."""

    exit_status = 1


class SourceError(OptimizeError):
    """The checkpoint or the data set is absent, incomplete or of an unknown kind."""


class PublishError(OptimizeError):
    """The artifact cannot be published where it was asked for."""

    exit_status = 2


class WriteError(PublishError):
    """What is to be published cannot be written; nothing of it is left behind."""

    exit_status = 1


class GateFailed(OptimizeError):
    """A figure is outside its bound; the text names the step, the figure and the bound."""

    exit_status = 3


def first_line(error: BaseException) -> str:
    """What another library's error says, as one line."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def no_space(error: Exception) -> bool:
    """Whether an error of any library is that of a full disk: its text is all they share."""
    return any(text in str(error) for text in _NO_SPACE)


@contextmanager
def one_line(
    kind: type[OptimizeError],
    what: str,
    known: tuple[type[Exception], ...] = (OptimizeError, PredictorError),
) -> Iterator[None]:
    """Makes whatever exporters, converters and runtimes raise an error of one line.

    Args:
        kind: Of the error to raise.
        what: What failed; the first line of what was raised follows.
        known: What passes as it is, as the error of a full disk does.
    """
    try:
        yield
    except known:
        raise
    except Exception as error:
        if no_space(error):
            raise
        logger.debug("%s", what, exc_info=True)
        raise kind(f"{what}: {first_line(error)}") from error
