"""Conversion of a fused graph to fp16, but for what fp16 cannot hold; checked afterwards."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper
from onnxruntime.transformers import float16
from onnxruntime.transformers.onnx_model import OnnxModel

from optimize.errors import GateFailed
from optimize.graph import magnitudes, weightless
from optimize.graph.weightless import LeanGraph
from optimize.memory import freed_afterwards
from predictor.types import Batch

_FP32, _FP16 = "tensor(float)", "tensor(float16)"


@freed_afterwards
def to_fp16(source: Path, path: Path, batches: Sequence[Batch]) -> dict[str, Any]:
    """Converts weights and arithmetic to fp16; inputs and outputs stay as they are.

    Args:
        source: The fused fp32 graph.
        path: The file to write.
        batches: Inputs of real questions, on which values must not leave fp16's range.

    Returns:
        For the report: the nodes that stay in fp32, each with the reason, and the largest value
        of all the others.

    Raises:
        GateFailed: A node computes in fp32 for no reason that is listed.
    """
    graph = LeanGraph.read(source)
    types = weightless.tensor_types(graph.model)
    found = magnitudes.measure(graph, types, batches)
    listed = _without_fp16_form(graph.model, types) | found.outside
    model = _converted(graph, types, listed)
    _check(model, listed)
    half = {
        i.name for i in model.graph.input if i.type.tensor_type.elem_type == TensorProto.FLOAT16
    }
    for value in [i for i in model.graph.input if i.name in graph.weights]:
        model.graph.input.remove(value)
    weightless.write(model, _tensors(graph, half), path)
    rows = sum(len(batch["input_ids"]) for batch in batches)
    return {
        "nodes kept in fp32": listed or "none",
        "largest value in fp16": f"{found.largest:.3g} ({found.largest_name})",
        "windows run to find them": rows,
    }


def _without_fp16_form(model: onnx.ModelProto, types: Mapping[str, str]) -> dict[str, str]:
    """Nodes of operators that ONNX Runtime's converter leaves in fp32."""
    return {
        node.name: f"{node.op_type} has no fp16 form"
        for node in model.graph.node
        if node.op_type in float16.DEFAULT_OP_BLOCK_LIST and _touches(node, types, _FP32)
    }


def _converted(
    graph: LeanGraph, types: Mapping[str, str], kept: Collection[str]
) -> onnx.ModelProto:
    """The graph in fp16; weights that only kept nodes read stay fp32 inputs."""
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    read = {name for node in model.graph.node if node.name not in kept for name in node.input}
    own = [i for i in model.graph.input if i.name in graph.weights and i.name not in read]
    # Declared, it would become fp16 and be cast back; undeclared, it is left alone.
    for value in own:
        model.graph.input.remove(value)
    model.graph.ClearField("value_info")
    outputs = [output.name for output in model.graph.output]
    made = {name for node in model.graph.node for name in node.output} - set(outputs)
    model.graph.value_info.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in sorted(made)
        if types.get(name) == _FP32
    )
    converted: onnx.ModelProto = float16.convert_float_to_float16(
        model,
        keep_io_types=outputs,
        disable_shape_infer=True,
        op_block_list=[],
        node_block_list=list(kept),
    )
    converted.graph.ClearField("value_info")
    _join(converted.graph, kept)
    converted.graph.input.extend(own)
    OnnxModel(converted).topological_sort()
    return converted


def _join(graph: onnx.GraphProto, kept: Collection[str]) -> None:
    """Removes casts to fp16 and back between two nodes in fp32: the value may not fit in it."""
    whole = {name for node in graph.node if node.name in kept for name in node.output}
    halved = {
        node.output[0]: node.input[0]
        for node in graph.node
        if _casts(node, TensorProto.FLOAT16) and node.input[0] in whole
    }
    outputs = {output.name for output in graph.output}
    renamed: dict[str, str] = {}
    for node in [n for n in graph.node if _casts(n, TensorProto.FLOAT)]:
        value = halved.get(node.input[0])
        if value is None:
            continue
        made = node.output[0]
        renamed |= {value: made} if made in outputs else {made: value}
        graph.node.remove(node)
    for node in graph.node:
        for names in (node.input, node.output):
            for position, name in enumerate(names):
                names[position] = renamed.get(name, name)
    read = {name for node in graph.node for name in node.input} | outputs
    for node in [n for n in graph.node if _casts(n, TensorProto.FLOAT16)]:
        if node.output[0] not in read:
            graph.node.remove(node)


def _check(model: onnx.ModelProto, listed: Collection[str]) -> None:
    """Raises GateFailed where a node that is not listed computes in fp32, casts aside."""
    types = weightless.tensor_types(model)
    unlisted = [
        node.name
        for node in model.graph.node
        if node.name not in listed and _touches(node, types, _FP32) and not _between(node, types)
    ]
    if unlisted:
        raise GateFailed(f"fp16: nodes that are not listed compute in fp32: {', '.join(unlisted)}")


def _between(node: NodeProto, types: Mapping[str, str]) -> bool:
    """Whether a node only takes a value from fp16 to fp32, or back."""
    ends = {types.get(node.input[0]), types.get(node.output[0])}
    return node.op_type == "Cast" and ends == {_FP32, _FP16}


def _touches(node: NodeProto, types: Mapping[str, str], type_: str) -> bool:
    return any(types.get(name) == type_ for name in (*node.input, *node.output))


def _casts(node: NodeProto, to: int) -> bool:
    return node.op_type == "Cast" and any(a.name == "to" and a.i == to for a in node.attribute)


def _tensors(graph: LeanGraph, half: Collection[str]) -> Iterator[TensorProto]:
    """The large weights, one after the other, in the precision that they have now."""
    for name, weight in graph.weights.items():
        yield numpy_helper.from_array(weight.astype(np.float16) if name in half else weight, name)
