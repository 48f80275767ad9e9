"""ONNX Runtime's transformer fusions, counted and asserted, and the conversion to fp16."""

from __future__ import annotations

import logging
from collections.abc import Container, Mapping
from pathlib import Path

import onnx
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.onnx_model_bert import BertOnnxModel

from optimize.errors import GateFailed
from optimize.memory import freed_afterwards

logger = logging.getLogger(__name__)


_SMALL_BYTES = 16 << 10


class _LeanModel(BertOnnxModel):  # type: ignore[misc]  # without types
    """A model whose graph is without its large weights while it is fused.

    Shape inference copies the graph again and again, and every fusion keeps its copy: with the
    weights in it a model of 1.3 GiB takes 9 GiB. The fusions get at a weight by its name.
    """

    def __init__(self, whole: onnx.ModelProto) -> None:
        self._weights = {
            tensor.name: tensor
            for tensor in whole.graph.initializer
            # Not vectors and integers: shape inference reads their values.
            if tensor.data_type == onnx.TensorProto.FLOAT
            and len(tensor.dims) == 2
            and len(tensor.raw_data) > _SMALL_BYTES
        }
        super().__init__(_without_data(whole, self._weights))

    def get_initializer(self, name: str) -> onnx.TensorProto | None:
        """A weight by its name, whole."""
        found: onnx.TensorProto | None = self._weights.get(name)
        return super().get_initializer(name) if found is None else found

    def write(self, path: Path) -> None:
        """Writes the graph, and after it, one by one, the weights that it still uses.

        Concatenated protobuf messages are one message, and serializing 1.3 GiB at once takes 4.
        """
        self.topological_sort()
        used = [t for t in self.model.graph.initializer if t.name in self._weights]
        for tensor in used:
            self.model.graph.initializer.remove(tensor)
        self.save(self.model, str(path))
        with path.open("ab") as stream:
            for tensor in used:
                part = onnx.GraphProto(initializer=[self._weights[tensor.name]])
                stream.write(onnx.ModelProto(graph=part).SerializeToString())


def _without_data(whole: onnx.ModelProto, names: Container[str]) -> onnx.ModelProto:
    """A copy in which some initializers have a type and a shape, but no values."""
    graph = onnx.GraphProto(name=whole.graph.name)
    for field in ("node", "input", "output", "value_info"):
        getattr(graph, field).extend(getattr(whole.graph, field))
    graph.initializer.extend(
        onnx.TensorProto(name=t.name, dims=t.dims, data_type=t.data_type) if t.name in names else t
        for t in whole.graph.initializer
    )
    return onnx.ModelProto(
        ir_version=whole.ir_version, opset_import=whole.opset_import, graph=graph
    )


@freed_afterwards
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
    # Only what is the same on every machine; ONNX Runtime adds the rest when it loads the model.
    # Heads and hidden size stay zero: detected layer by layer, since pruned layers differ.
    model = _LeanModel(onnx.load(str(source)))
    model.optimize(FusionOptions("bert"))
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


@freed_afterwards
def to_fp16(source: Path, path: Path) -> None:
    """Converts a fused graph's weights and arithmetic to fp16; inputs and outputs stay."""
    model = BertOnnxModel(onnx.load(str(source)))
    model.convert_float_to_float16(keep_io_types=True, use_symbolic_shape_infer=True)
    model.save_model_to_file(str(path))
