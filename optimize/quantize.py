"""Dynamic INT8 quantization of a fused graph, weights per channel.

Two variants: symmetric weights (signed, zero point 0), which the CPU's kernels run fastest, and
asymmetric ones (unsigned, a zero point per channel), which keep more of a small model's answers.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from optimize.memory import freed_afterwards


@freed_afterwards
def to_int8(source: Path, path: Path, *, asymmetric: bool) -> None:
    """Quantizes the encoder's matrix products; embeddings and the normalizations stay fp32.

    Args:
        source: The fused fp32 graph.
        path: The file to write.
        asymmetric: Whether weights have a zero point of their own.
    """
    with TemporaryDirectory(dir=path.parent) as scratch, _without_preprocessing_hint():
        quantized = Path(scratch) / "model.onnx"
        quantize_dynamic(
            source,
            quantized,
            # Embedding tables quantize badly, and looking a row up costs nothing.
            op_types_to_quantize=["MatMul", "Attention"],
            per_channel=True,
            weight_type=QuantType.QUInt8 if asymmetric else QuantType.QInt8,
            # Shape inference knows nothing of fused operators' outputs.
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
        quantized.replace(path)


@contextmanager
def _without_preprocessing_hint() -> Iterator[None]:
    """Silences a hint that asks for a step which would undo the fusion."""

    def other(record: logging.LogRecord) -> bool:
        return "pre-processing before quantization" not in record.getMessage()

    logging.getLogger().addFilter(other)
    try:
        yield
    finally:
        logging.getLogger().removeFilter(other)
