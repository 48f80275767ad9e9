"""Tests that need a GPU; everywhere else each is skipped and says why."""

from __future__ import annotations

import ctypes
from pathlib import Path

import onnxruntime as ort
import pytest

from benchmarks.gpu import checks as gpu_checks
from benchmarks.gpu import models as gpu_models
from benchmarks.gpu.__main__ import QUESTIONS
from benchmarks.gpu.models import Built
from optimize.data.squad import Example
from predictor.sessions.providers import CUDA

HERE = Path(__file__).resolve().parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = _absent()
    if reason:
        for item in items:
            if item.path.is_relative_to(HERE):
                item.add_marker(pytest.mark.skip(reason=reason))


def _absent() -> str | None:
    """Why no test here can run, or None."""
    if CUDA not in ort.get_available_providers():
        return f"this ONNX Runtime has no {CUDA}: install the extra gpu instead of cpu"
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "there is no CUDA driver"
    count = ctypes.c_int()
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return "the CUDA driver does not start"
    return None if count.value else "the CUDA driver sees no device"


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return gpu_models.build("embedded", tmp_path_factory.mktemp("models"), "cuda")


@pytest.fixture(scope="session")
def compacted(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Uneven heads and widths, at random."""
    return gpu_models.build("tiny-compacted", tmp_path_factory.mktemp("models"), "cuda")


@pytest.fixture(scope="session")
def examples() -> list[Example]:
    return gpu_checks.read_examples(Path(QUESTIONS), 1)
