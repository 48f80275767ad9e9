"""V2 tensors as they are on the wire: raw contents, shapes, strings."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from predictor.codecs.strings import shown
from predictor.errors import InvalidRequest

_LENGTH = struct.Struct("<I")
_DTYPES = {"FP32": "<f4", "INT64": "<i8"}


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output, its values in row-major order.

    Attributes:
        name: As in the model's metadata.
        datatype: BYTES, FP32 or INT64.
        shape: Sizes of its dimensions.
        values: str or bytes for BYTES, numbers otherwise.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Sequence[Any]


def misfit(name: str, shape: Sequence[int]) -> InvalidRequest:
    """What is said of contents that are not as many as the shape says."""
    return InvalidRequest(f"input {shown(name)}: its data does not fit shape {shown(list(shape))}")


def check_strings(name: str, datatype: str, shape: Sequence[int]) -> int:
    """How many strings an input of ours holds.

    Raises:
        InvalidRequest: It is not BYTES of shape [n] or [n, 1].
    """
    if datatype != "BYTES":
        raise InvalidRequest(f"input {shown(name)} has datatype {shown(datatype)}, not BYTES")
    if len(shape) not in (1, 2) or (len(shape) == 2 and shape[1] != 1) or min(shape) < 1:
        raise InvalidRequest(
            f"input {shown(name)} has shape {shown(list(shape))}; "
            "it must be [n] or [n, 1], n at least 1"
        )
    return shape[0]


def unpack_strings(content: bytes | memoryview, shape: Sequence[int], name: str) -> list[bytes]:
    """Splits raw BYTES contents: each element after its length, four bytes little-endian.

    Raises:
        InvalidRequest: The contents do not hold exactly as many elements as the shape says.
    """
    values: list[bytes] = []
    count, position = math.prod(shape), 0
    while position < len(content) and len(values) < count:
        if position + _LENGTH.size > len(content):
            break
        (length,) = _LENGTH.unpack_from(content, position)
        position += _LENGTH.size
        if position + length > len(content):
            break
        values.append(bytes(content[position : position + length]))
        position += length
    if len(values) != count or position != len(content):
        raise misfit(name, shape)
    return values


def pack(tensor: Tensor) -> bytes:
    """The raw contents of a tensor."""
    if tensor.datatype == "BYTES":
        encoded = (v.encode() if isinstance(v, str) else v for v in tensor.values)
        return b"".join(_LENGTH.pack(len(value)) + value for value in encoded)
    array: np.ndarray = np.array(tensor.values, dtype=_DTYPES[tensor.datatype])
    return array.tobytes()
