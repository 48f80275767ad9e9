"""What a reader must know of the machine that figures are from."""

from __future__ import annotations

import platform
from pathlib import Path

from predictor.sessions.cpu import available_cpus

# Instructions that decide how fast int8 and fp32 are, as the kernel names them.
_TELLING = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8")


def processor() -> str:
    """The processor's name."""
    return _cpuinfo("model name") or platform.machine()


def describe() -> str:
    """Processor, its telling instructions and the CPUs that this process may use, in one line."""
    flags = _cpuinfo("flags").split()
    telling = ", ".join(flag for flag in _TELLING if flag in flags) or platform.machine()
    count = available_cpus()
    return f"{processor()} ({telling}), {count} CPU{'s' * (count != 1)}"


def _cpuinfo(key: str) -> str:
    """The first value of a key in /proc/cpuinfo; empty where there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return ""
    return next((v.strip() for k, _, v in (line.partition(":") for line in lines)
                 if k.strip() == key), "")  # fmt: skip
