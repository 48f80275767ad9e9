"""Errors of an optimize run, each with the exit status of the process.

OptimizeError           1
├── SourceError         1   the checkpoint or the data set cannot be used
├── PublishError        2   the target holds another build, or something else
│   └── WriteError      1   it cannot be written: full, read-only, not permitted
└── GateFailed          3   the artifact is worse than allowed; nothing is published
"""

from __future__ import annotations


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
