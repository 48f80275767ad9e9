"""ONNX Runtime's transformer fusions, counted and asserted.

For a CPU a sum and the normalization after it stay two operators: ONNX Runtime's LayerNormalization
has a vectorized kernel there, SkipLayerNormalization a scalar loop. Whoever loads the file, ONNX
Runtime would fuse them again, but for a sum that is written as Sum instead of Add. On CUDA one
kernel of both saves a round trip to memory.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import onnx
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.onnx_model_bert import BertOnnxModel

from optimize.errors import GateFailed
from optimize.graph import weightless
from optimize.memory import freed_afterwards

logger = logging.getLogger(__name__)


class _LeanModel(BertOnnxModel):  # type: ignore[misc]  # without types
    """A model whose graph is without its large weights while it is fused.

    Every fusion infers shapes, and keeps its copy. The fusions get at a weight by its name.
    """

    def __init__(self, whole: onnx.ModelProto) -> None:
        self._weights = weightless.large_weights(whole)
        super().__init__(weightless.without_data(whole, self._weights))

    def get_initializer(self, name: str) -> onnx.TensorProto | None:
        """A weight by its name, whole."""
        found: onnx.TensorProto | None = self._weights.get(name)
        return super().get_initializer(name) if found is None else found

    def write(self, path: Path) -> None:
        """Writes the graph and the weights that it still uses."""
        self.topological_sort()
        used = [t for t in self.model.graph.initializer if t.name in self._weights]
        for tensor in used:
            self.model.graph.initializer.remove(tensor)
        weightless.write(self.model, (self._weights[tensor.name] for tensor in used), path)


@freed_afterwards
def fuse(
    source: Path,
    path: Path,
    *,
    target: str,
    expected: Mapping[str, int],
    allow_unfused: bool = False,
) -> dict[str, int]:
    """Fuses an encoder's graph.

    Args:
        source: The exported graph.
        path: The file to write.
        target: cpu or cuda.
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
    # Only what is the same on every machine; ONNX Runtime adds the rest when it loads the model.
    # Heads and hidden size stay zero: detected layer by layer, since pruned layers differ.
    model = _LeanModel(onnx.load(str(source)))
    model.optimize(_options(target))
    if target == "cpu":
        _write_sums(model.model.graph)
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
    model.write(path)
    return counts


def _write_sums(graph: onnx.GraphProto) -> None:
    """Makes a Sum of each Add that a LayerNormalization reads."""
    normalized = {node.input[0] for node in graph.node if node.op_type == "LayerNormalization"}
    for node in graph.node:
        if node.op_type == "Add" and node.output[0] in normalized:
            node.op_type = "Sum"


def _options(target: str) -> FusionOptions:
    options = FusionOptions("bert")
    options.enable_skip_layer_norm = options.enable_bias_skip_layer_norm = target == "cuda"
    return options
