"""Which execution provider runs a model, of the one ONNX Runtime that is installed."""

from __future__ import annotations

import contextlib
import logging
from importlib import metadata

import onnxruntime as ort

from predictor.errors import StartupError

logger = logging.getLogger(__name__)

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
_RUNTIMES = ("onnxruntime", "onnxruntime-gpu")


def check_one_runtime() -> None:
    """Raises StartupError where CPU and GPU builds are both installed: the later one overwrote."""
    installed = installed_runtimes()
    if len(installed) > 1:
        raise StartupError(
            f"{' and '.join(installed)} overwrite each other's files; "
            "uninstall both, then install the extra cpu or gpu, not both"
        )


def installed_runtimes() -> dict[str, str]:
    """The installed builds of ONNX Runtime and their versions."""
    versions = {}
    for name in _RUNTIMES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def choose_provider(asked: str, target: str) -> str:
    """The execution provider to use: the one asked for, or for `auto` the best one available.

    Raises:
        StartupError: It is not part of the installed ONNX Runtime.
    """
    available = ort.get_available_providers()
    if asked != "auto":
        if asked not in available:
            raise StartupError(f"{asked} is not available here; there are {', '.join(available)}")
        return asked
    if target == "cuda" and CUDA not in available:
        logger.warning(
            "this artifact is made for %s, which is absent: falling back to %s", CUDA, CPU
        )
    return CUDA if target == "cuda" and CUDA in available else CPU
