"""A graph apart from its large weights, so that what copies the graph copies no weights.

Shape inference and conversions copy a graph again and again, and serializing 1.3 GiB at once takes
4: a model of that size with its weights in the graph took 9 GiB.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnxruntime.transformers.onnx_model import OnnxModel

SMALL_BYTES = 16 << 10


def large_weights(model: onnx.ModelProto) -> dict[str, TensorProto]:
    """Matrices by name; not vectors and integers, since shape inference reads their values."""
    return {
        tensor.name: tensor
        for tensor in model.graph.initializer
        if tensor.data_type == TensorProto.FLOAT
        and len(tensor.dims) == 2
        and len(tensor.raw_data) > SMALL_BYTES
    }


def without_data(whole: onnx.ModelProto, names: Collection[str]) -> onnx.ModelProto:
    """A copy in which some initializers have a type and a shape, but no values."""
    model = _without(whole, names)
    model.graph.initializer.extend(
        TensorProto(name=t.name, dims=t.dims, data_type=t.data_type)
        for t in whole.graph.initializer
        if t.name in names
    )
    return model


def write(model: onnx.ModelProto, weights: Iterable[TensorProto], path: Path) -> None:
    """Writes a graph, and after it, one by one, weights that it lacks.

    Concatenated protobuf messages are one message.
    """
    OnnxModel.save(model, str(path))  # declares fused operators' domain
    with path.open("ab") as stream:
        for tensor in weights:
            part = onnx.GraphProto(initializer=[tensor])
            stream.write(onnx.ModelProto(graph=part).SerializeToString())


@dataclass(frozen=True)
class LeanGraph:
    """A graph whose large weights are inputs of it, in front of which stand its own.

    Attributes:
        model: The graph; every node has a name.
        weights: Values of the inputs that were weights, fp32.
    """

    model: onnx.ModelProto
    weights: dict[str, NDArray[np.float32]]

    @classmethod
    def read(cls, path: Path) -> LeanGraph:
        """Reads a model file."""
        whole = onnx.load(str(path))
        large = large_weights(whole)
        model = _without(whole, large)
        for node in model.graph.node:
            node.name = node.name or node.output[0]
        for name, tensor in large.items():
            model.graph.input.append(
                helper.make_tensor_value_info(name, TensorProto.FLOAT, tensor.dims)
            )
        weights = {
            name: np.frombuffer(tensor.raw_data, np.float32).reshape(tensor.dims)
            for name, tensor in large.items()
        }
        return cls(model, weights)


def session(model: onnx.ModelProto, outputs: Iterable[str]) -> ort.InferenceSession:
    """Loads a graph as it stands, with further values among its outputs; on the CPU."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    present = {output.name for output in copy.graph.output}
    # ONNX Runtime infers their types.
    copy.graph.output.extend(onnx.ValueInfoProto(name=n) for n in outputs if n not in present)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    return ort.InferenceSession(
        copy.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def tensor_types(model: onnx.ModelProto) -> dict[str, str]:
    """Name → type, as `tensor(float)`, of all values and weights of a graph."""
    initializers = {
        tensor.name: _TYPES[tensor.data_type]
        for tensor in model.graph.initializer
        if tensor.data_type in _TYPES
    }
    loaded = session(model, (name for node in model.graph.node for name in node.output if name))
    nodes: list[Any] = [*loaded.get_inputs(), *loaded.get_outputs()]
    return initializers | {node.name: node.type for node in nodes}


_TYPES = {TensorProto.FLOAT: "tensor(float)", TensorProto.FLOAT16: "tensor(float16)"}


def _without(whole: onnx.ModelProto, names: Collection[str]) -> onnx.ModelProto:
    graph = onnx.GraphProto(name=whole.graph.name)
    for field in ("node", "input", "output", "value_info"):
        getattr(graph, field).extend(getattr(whole.graph, field))
    graph.initializer.extend(t for t in whole.graph.initializer if t.name not in names)
    return onnx.ModelProto(
        ir_version=whole.ir_version, opset_import=whole.opset_import, graph=graph
    )
