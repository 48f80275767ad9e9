"""What is asked for is taken; what is left open is what the machine has."""

import platform
from pathlib import Path

import pytest
import torch

from optimize.training import hardware


def test_what_is_asked_for_is_taken():
    assert [hardware.device(name) for name in ("cpu", "cuda")] == ["cpu", "cuda"]
    for name in ("fp32", "bf16"):
        assert hardware.compute(name, "cpu") == hardware.compute(name, "cuda") == name


def test_auto_is_a_gpu_where_there_is_one():
    assert hardware.device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors have other names")
def test_auto_is_bf16_where_the_processor_multiplies_in_it():
    flags = set(Path("/proc/cpuinfo").read_text().split())
    wanted = "bf16" if flags & {"avx512_bf16", "amx_bf16"} else "fp32"
    assert hardware.compute("auto", "cpu") == wanted
