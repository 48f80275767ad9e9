"""What is broken in generated requests: members, values and bytes; whatever the protocol."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

_RAW = re.compile(r'"RAW<([^">]*)>"')
_JUNK = [
    None, True, 0, -1, 1, 2, 21, 2**31, 2**63 - 1, 2**63, -(2**63), 10**40, 1.5, -0.0,
    float("nan"), float("inf"), 1e308, "", " \n", "\ud800", "\x00", "nan", "1e400", "9" * 5000,
    "question", "context", "answer", "BYTES", "FP32", "n" * 3000, b"", b"\xff\xfe", b"\1\0\0\0a",
    [], [1], [-1], [0], [2**62, 1], [1, 2, 3], [[]], [["a"], "b"], [None], ["a", "b"], {},
    {"question": "a", "context": "b"}, {"binary_data_size": 5}, {"binary_data_output": True},
    {"top_k": 2}, {"timeout": 1}, {"name": "answer"},
    *(f"RAW<{token}>" for token in ("1e999", "-Infinity", "01", "1" * 400, "tru", "")),
    *(f"RAW<{'[' * depth}{']' * depth}>" for depth in (50, 1000, 1100)),
    *(f"RAW<{'[' * 990}{filling}{']' * 990}>" for filling in ("1", "null")),
]  # fmt: skip
# Fields that a gRPC parameter may hold: of kinds that the SDK knows and does not know, and broken.
_FIELDS = st.builds(
    lambda number, wire, content: bytes([8 * number + wire]) + content,
    st.integers(1, 8),
    st.integers(0, 5),
    st.binary(min_size=8, max_size=8) | st.binary(max_size=12) | st.just(b"\x03"),
)
_VALUES = st.one_of(
    st.sampled_from(_JUNK), st.integers(), st.floats(), st.text(max_size=8), _FIELDS
)
_NAMES = [
    "id", "inputs", "outputs", "data", "binary_data_size", "binary_data_output",
    "top_k", "max_answer_length", "null_score_diff_threshold", "timeout",
]  # fmt: skip


@dataclass(frozen=True)
class Damage:
    """One thing to break: which of a payload's nodes, how, and what to put there."""

    node: int
    kind: str
    value: Any
    name: str

    def inflict(self, payload: Any) -> None:
        """Breaks a payload, in place."""
        nodes = list(_nodes(payload))
        if not nodes:
            return
        owner, key = nodes[self.node % len(nodes)]
        if self.kind == "parameter" and isinstance(payload, dict):
            payload["parameters"] = {self.name: copy.deepcopy(self.value)}
        elif self.kind == "output" and isinstance(payload, dict):
            payload["outputs"] = [{"name": copy.deepcopy(self.value)}]
        elif self.kind == "drop":
            del owner[key]
        elif self.kind == "replace":
            owner[key] = copy.deepcopy(self.value)
        elif self.kind == "wrap":
            owner[key] = [owner[key]]
        elif self.kind == "double" and isinstance(owner, list):
            owner.append(copy.deepcopy(owner[key]))
        elif isinstance(owner, list):
            owner.insert(key, copy.deepcopy(self.value))
        else:
            owner[self.name] = copy.deepcopy(self.value)


DAMAGES = st.lists(
    st.builds(
        Damage,
        st.integers(0, 40),
        st.sampled_from(["replace", "drop", "wrap", "double", "add", "parameter", "output"]),
        _VALUES,
        st.sampled_from(_NAMES) | st.text(max_size=5),
    ),
    max_size=3,
)


def damaged(payload: Any, damages: list[Damage], *, text: bool = True) -> Any:
    """The payload after all the damages; for JSON (`text`) its bytes become what JSON has."""
    for damage in damages:
        damage.inflict(payload)
    return _without_bytes(payload) if text else payload


@dataclass(frozen=True)
class Scratch:
    """What is broken in bytes: some are cut out at a position, others put there."""

    position: int
    cut: int
    put: bytes

    def __call__(self, whole: bytes) -> bytes:
        """The bytes, scratched."""
        at = self.position % (len(whole) + 1)
        return whole[:at] + self.put + whole[at + self.cut :]


SCRATCHES = st.builds(
    Scratch,
    st.integers(0, 500),
    st.sampled_from([0, 1, 4, 10**6]),
    st.binary(max_size=6) | st.sampled_from([b'{"id":1,"id":', b"\xef\xbb\xbf", b'"', b"]", b"e9"]),
)
# As it is three times of four.
DENTS = st.sampled_from([bytes, bytes, bytes, None]).flatmap(
    lambda kept: SCRATCHES if kept is None else st.just(kept)
)


def body(payload: Any) -> bytes:
    """JSON, with what JSON cannot spell where RAW says so."""
    return _RAW.sub(r"\1", json.dumps(payload)).encode()


def _nodes(payload: Any) -> Any:
    """Every member and element below a payload, as its owner and its key."""
    pairs = payload.items() if isinstance(payload, dict) else enumerate(payload)
    for key, value in list(pairs):
        yield payload, key
        if isinstance(value, dict | list):
            yield from _nodes(value)


def _without_bytes(payload: Any) -> Any:
    if isinstance(payload, dict):
        return {key: _without_bytes(value) for key, value in payload.items()}
    if isinstance(payload, list):
        return list(map(_without_bytes, payload))
    return payload.decode("latin-1") if isinstance(payload, bytes) else payload
