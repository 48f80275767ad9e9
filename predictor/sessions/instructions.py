"""The instruction sets that decide how a CPU multiplies integers, and what follows for an artifact.

Without VNNI, x86's vpmaddubsw adds two products of an unsigned activation and a signed weight in 16
bits, and saturates where weights have 8 bits: int8's symmetric ones have, in artifacts of schema 1.
All other integer products are exact on every CPU.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence

from predictor.artifact import ArtifactSpec

_LEAF_7, _LEAF_7_1 = 1, 6
_EAX, _EBX, _ECX = 0, 1, 2
# Name → glibc's index of the CPUID leaf, register and bit.
_BITS = {
    "avx2": (_LEAF_7, _EBX, 5),
    "avx512f": (_LEAF_7, _EBX, 16),
    "avx512_vnni": (_LEAF_7, _ECX, 11),
    "avx_vnni": (_LEAF_7_1, _EAX, 4),
}
_VNNI = {"avx512_vnni", "avx_vnni"}


class _Leaf(ctypes.Structure):
    """glibc's `struct cpuid_feature`: what the CPU has, and what can be used."""

    _fields_ = (("present", ctypes.c_uint * 4), ("active", ctypes.c_uint * 4))


@functools.cache
def detected() -> tuple[str, ...] | None:
    """The sets that this process can use; None on another architecture, or where glibc < 2.33.

    By CPUID, in the process: /proc/cpuinfo shows what the host has, also under an emulator.
    """
    try:
        leaf_of = ctypes.CDLL(None).__x86_get_cpuid_feature_leaf
    except (AttributeError, OSError):
        return None
    leaf_of.argtypes, leaf_of.restype = (ctypes.c_uint,), ctypes.POINTER(_Leaf)
    return tuple(
        name
        for name, (leaf, register, bit) in _BITS.items()
        if leaf_of(leaf).contents.active[register] >> bit & 1
    )


def saturate(spec: ArtifactSpec, sets: Sequence[str] | None) -> bool:
    """Whether products of an artifact's weights saturate on a CPU with these sets.

    Schema 1 does not tell signed weights from unsigned ones, which never do.
    """
    old = spec.schema_version == 1 and spec.precision == "int8"
    return old and sets is not None and _VNNI.isdisjoint(sets)


def agree(spec: ArtifactSpec, sets: Sequence[str] | None) -> bool | None:
    """Whether the gates ran on a CPU with the same sets; None where either is not known."""
    if spec.instruction_sets is None or sets is None:
        return None
    return set(spec.instruction_sets) == set(sets)


def named(sets: Sequence[str] | None) -> str:
    """The sets in words."""
    return "unknown" if sets is None else " ".join(sets) or "none"
