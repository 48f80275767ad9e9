"""A session by its name: a short one of ours, or the dotted name of any class."""

from __future__ import annotations

import importlib
from pathlib import Path

from predictor.artifact import ArtifactSpec
from predictor.errors import StartupError
from predictor.sessions.protocol import Session, SessionOptions

ORT_SESSION = "ort"
# The dotted keys are where the classes were before; manifests of that time name them.
NAMES = {
    ORT_SESSION: "predictor.sessions.ort:OrtSession",
    "remote": "predictor.sessions.remote:RemoteSession",
    "torch": "optimize.evaluation.torch_session:TorchSession",
    "fake": "predictor.sessions.fake:FakeSession",
    "predictor.session:OrtSession": "predictor.sessions.ort:OrtSession",
    "predictor.remote_session:RemoteSession": "predictor.sessions.remote:RemoteSession",
    "optimize.torch_session:TorchSession": "optimize.evaluation.torch_session:TorchSession",
}


def session_class(name: str) -> type[Session]:
    """The class of a session.

    Args:
        name: `ort`, `remote`, `torch`, `fake`, or `package.module:Class`.

    Raises:
        StartupError: There is no such class.
    """
    module, _, attribute = NAMES.get(name, name).partition(":")
    try:
        found: type[Session] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise StartupError(f"session {name!r} cannot be imported: {error}") from error
    return found


def load_session(name: str, spec: ArtifactSpec, folder: Path, options: SessionOptions) -> Session:
    """Makes a session; raises StartupError where there is none of that name or it cannot load."""
    return session_class(name)(spec, folder, options)
