"""The CPU's instruction sets as the process sees them, and what an artifact needs on them."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from predictor.artifact import read_spec
from predictor.sessions import instructions

X86 = platform.machine() == "x86_64" and "glibc" in platform.libc_ver()
VNNI = ("avx2", "avx512f", "avx512_vnni")
AVX2 = ("avx2",)


@pytest.mark.skipif(not X86, reason="CPUID is x86's, and asked by way of glibc")
def test_natively_they_are_those_that_the_kernel_lists():
    (line, *_) = (
        text for text in Path("/proc/cpuinfo").read_text().splitlines() if text.startswith("flags")
    )
    listed = set(line.split()) & {"avx2", "avx512f", "avx512_vnni", "avx_vnni"}
    assert set(instructions.detected()) == listed


@pytest.mark.skipif(not X86, reason="CPUID is x86's, and asked by way of glibc")
def test_they_are_the_processs_own_not_the_hosts():
    code = "from predictor.sessions import instructions as i; print('avx2' in i.detected())"
    # glibc itself takes it away from the process; the kernel's list stays as it is.
    environ = os.environ | {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_nothing_is_known_where_the_c_library_does_not_say(monkeypatch):
    monkeypatch.setattr(instructions.ctypes, "CDLL", lambda _: object())
    assert instructions.detected.__wrapped__() is None


def spec_of(make_artifact, **changes):
    return read_spec(make_artifact(**changes))


@pytest.mark.parametrize(
    ("schema", "precision", "sets", "expected"),
    [
        (1, "int8", AVX2, True),
        (1, "int8", (*AVX2, "avx512f"), True),
        (1, "int8", VNNI, False),
        (1, "int8", (*AVX2, "avx_vnni"), False),
        (1, "int8", None, False),
        (1, "fp32", AVX2, False),
        (2, "int8", AVX2, False),
    ],
)
def test_8_bit_weights_saturate_without_vnni(make_artifact, schema, precision, sets, expected):
    spec = spec_of(make_artifact, schema_version=schema, precision=precision)
    assert instructions.saturate(spec, sets) is expected


@pytest.mark.parametrize(
    ("gated", "here", "expected"),
    [
        (AVX2, AVX2, True),
        (VNNI, tuple(reversed(VNNI)), True),
        (VNNI, AVX2, False),
        ((), AVX2, False),
        (None, AVX2, None),
        (AVX2, None, None),
    ],
)
def test_whether_the_gates_ran_on_the_same(make_artifact, gated, here, expected):
    assert instructions.agree(spec_of(make_artifact, instruction_sets=gated), here) is expected


def test_in_words():
    assert [instructions.named(sets) for sets in (None, (), VNNI)] == [
        "unknown",
        "none",
        "avx2 avx512f avx512_vnni",
    ]
