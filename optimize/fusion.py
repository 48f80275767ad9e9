"""ONNX Runtime's transformer fusions, counted and asserted, and the conversion to fp16."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import onnx
from onnxruntime.transformers.onnx_model_bert import BertOnnxModel
from onnxruntime.transformers.optimizer import optimize_model

from optimize.errors import GateFailed

logger = logging.getLogger(__name__)


def fuse(
    source: Path, path: Path, *, expected: Mapping[str, int], allow_unfused: bool = False
) -> dict[str, int]:
    """Fuses an encoder's graph.

    Args:
        source: The exported graph.
        path: The file to write.
        expected: How many of each operator a fully fused graph has.
        allow_unfused: Whether fewer are a warning.

    Returns:
        How many of each fused operator there are.

    Raises:
        GateFailed: Something that should have fused did not.
    """
    logging.getLogger("onnxruntime.transformers").setLevel(logging.ERROR)
    for name in ("fusion_attention", "onnx_model_bert", "fusion_base", "optimizer"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # Heads and hidden size zero: detected layer by layer, since pruned layers differ. Level 0: only
    # what is the same on every machine; ONNX Runtime adds the rest when it loads the model.
    model = optimize_model(
        str(source), model_type="bert", num_heads=0, hidden_size=0, opt_level=0, use_gpu=False
    )
    counts = {name: int(n) for name, n in model.get_fused_operator_statistics().items() if n}
    missing = [
        f"{name} {counts.get(name, 0)} of {count}"
        for name, count in expected.items()
        if counts.get(name, 0) != count
    ]
    if missing:
        text = f"graph: the fusion is incomplete: {', '.join(missing)}"
        if not allow_unfused:
            raise GateFailed(f"{text}; --allow-unfused takes it as it is")
        logger.warning(text)
    model.save_model_to_file(str(path))
    return counts


def to_fp16(source: Path, path: Path) -> None:
    """Converts a fused graph's weights and arithmetic to fp16; inputs and outputs stay."""
    model = BertOnnxModel(onnx.load(str(source)))
    model.convert_float_to_float16(keep_io_types=True, use_symbolic_shape_infer=True)
    model.save_model_to_file(str(path))
