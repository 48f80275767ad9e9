"""The generated gRPC messages are those of their .proto file, and of the protocol."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from loadtest.clients import oip_pb2

ROOT = Path(__file__).resolve().parents[3]


def test_generated_code_is_current(tmp_path: Path) -> None:
    protoc = pytest.importorskip("grpc_tools.protoc")
    out = [f"--python_out={tmp_path}", f"--pyi_out={tmp_path}"]
    room = Path("loadtest", "clients")
    assert protoc.main(["", "-I", str(ROOT), *out, str(ROOT / room / "oip.proto")]) == 0
    for name in ("oip_pb2.py", "oip_pb2.pyi"):
        assert (tmp_path / room / name).read_text() == (ROOT / room / name).read_text()


def test_field_numbers_and_types_are_the_protocol_s() -> None:
    from kserve.protocol.grpc import grpc_predict_v2_pb2 as protocol

    assert "tritonclient.grpc" not in sys.modules
    for name, message in oip_pb2.DESCRIPTOR.message_types_by_name.items():
        theirs = protocol.DESCRIPTOR.message_types_by_name[name]
        assert_same_fields(message, theirs)
        for nested in message.nested_types:
            if not nested.GetOptions().map_entry:
                assert_same_fields(nested, theirs.nested_types_by_name[nested.name])


def assert_same_fields(ours: object, theirs: object) -> None:
    for field in ours.fields:  # type: ignore[attr-defined]
        other = theirs.fields_by_name[field.name]  # type: ignore[attr-defined]
        assert (field.number, field.type, field.is_repeated) == (
            other.number, other.type, other.is_repeated,
        )  # fmt: skip
