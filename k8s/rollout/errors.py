"""Errors of a rollout, each with the exit status of the process.

RolloutError         1
├── Unreachable      1   the API server does not answer
├── Forbidden        1   it answers, but not to this account
├── Refused          1   what was asked for does not fit what is in the cluster
└── Failed           3   the version is not served; what was served before is
    ├── NotServing   3   it did not become ready, or answers wrongly
    └── Superseded   3   somebody else put another version in place meanwhile
"""

from __future__ import annotations


class RolloutError(Exception):
    """Base of every expected failure; the text is one line."""

    exit_status = 1


class Unreachable(RolloutError):
    """No answer within the time that was given."""


class Forbidden(RolloutError):
    """The account may not do this, or is not known."""


class Refused(RolloutError):
    """Nothing was changed."""


class Conflict(Exception):
    """The object has changed since it was read: read it again and decide anew."""


class Failed(RolloutError):
    """The version that was asked for is not served."""

    exit_status = 3


class NotServing(Failed):
    """The text says what the service lacks."""


class Superseded(Failed):
    """Another rollout was faster."""
