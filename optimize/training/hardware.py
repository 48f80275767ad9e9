"""Where to train, and in which precision, on the machine at hand."""

from __future__ import annotations

import contextlib
from pathlib import Path

import torch

_BF16 = {"avx512_bf16", "amx_bf16"}


def device(asked: str) -> str:
    """cpu or cuda; `auto` is a GPU where there is one."""
    if asked != "auto":
        return asked
    return "cuda" if torch.cuda.is_available() else "cpu"


def compute(asked: str, device: str) -> str:
    """fp32 or bf16; `auto` is bf16 where the machine multiplies in it."""
    if asked != "auto":
        return asked
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    flags: set[str] = set()
    with contextlib.suppress(OSError):
        flags = set(Path("/proc/cpuinfo").read_text("utf-8", "replace").split())
    return "bf16" if flags & _BF16 else "fp32"
