"""How large the values of a graph get on questions, and which nodes fp16 cannot hold.

fp16 reaches 65504, and below 6.1e-5 loses bit after bit. A node stays in fp32 where

- a value that it reads, makes or has inside reaches a quarter of 65504, or stays below four times
  6.1e-5 everywhere: questions that are not asked here get a factor of four;
- a vector of weights reaches a quarter of 65504;
- a matrix of weights loses more than a thousandth of its norm to rounding: twice what it loses
  where nothing is too large or too small.

Inside are the projections and the scaled scores of Attention, and the sum and its mean square of
the normalizations, which ONNX Runtime's CUDA kernels have in fp16. Every value is reduced to its
largest magnitude where it arises, so that a run takes little memory.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper

from optimize.graph import weightless
from optimize.graph.weightless import LeanGraph
from predictor.types import Batch

MARGIN = 4
MOST = float(np.finfo(np.float16).max) / MARGIN
LEAST = float(np.finfo(np.float16).tiny) * MARGIN
MOST_ROUNDING = 1e-3
# Which output of an operator is the sum that it normalizes.
_SUMS = {"SkipLayerNormalization": 3, "EmbedLayerNormalization": 2}


@dataclass(frozen=True)
class Magnitudes:
    """What was found.

    Attributes:
        outside: Node → why it stays in fp32, with the magnitude.
        largest: The value that is largest among those that may become fp16.
        largest_name: Its name.
    """

    outside: dict[str, str]
    largest: float
    largest_name: str


@dataclass(frozen=True)
class _Probe:
    """A value whose magnitude is asked for.

    Attributes:
        text: What it is, for the report.
        nodes: Those that cannot be fp16 where it does not fit.
        scale: Factor of the magnitude.
    """

    text: str
    nodes: tuple[str, ...]
    scale: float = 1.0


def measure(graph: LeanGraph, types: Mapping[str, str], batches: Sequence[Batch]) -> Magnitudes:
    """Runs batches of questions, and says what leaves fp16's range.

    Args:
        graph: An fp32 graph.
        types: Of its values, as `weightless.tensor_types` gives them.
        batches: Inputs of the whole graph.
    """
    users: dict[str, list[str]] = defaultdict(list)
    for node in graph.model.graph.node:
        for name in dict.fromkeys([*node.input, *node.output]):
            users[name].append(node.name)
    reasons: dict[str, dict[str, None]] = defaultdict(dict)
    for text, nodes in _bad_weights(graph, users):
        for name in nodes:
            reasons[name][text] = None
    inside = [(0.0, _Probe("nothing", ("",)))]
    for probe, magnitude in _run(graph, types, users, batches):
        if 0 < magnitude < LEAST:
            text = f"{probe.text} stays below {magnitude:.2g}"
        elif not magnitude <= MOST:
            text = f"{probe.text} reaches {magnitude:.3g}"
        else:
            inside.append((magnitude, probe))
            continue
        for name in probe.nodes:
            reasons[name][text] = None
    outside = {name: "; ".join(texts) for name, texts in reasons.items()}
    largest, probe = max(
        (found for found in inside if not outside.keys() >= set(found[1].nodes)),
        key=lambda found: found[0],
    )
    return Magnitudes(outside, largest, probe.text)


def _bad_weights(graph: LeanGraph, users: Mapping[str, list[str]]) -> list[tuple[str, list[str]]]:
    """What is to be said of each weight that fp16 does not hold, and who reads it."""
    found = []
    small = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in graph.model.graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT
    }
    for name, weight in [*small.items(), *graph.weights.items()]:
        largest = float(np.abs(weight).max(initial=0))
        if not largest <= MOST:
            found.append((f"{name} reaches {largest:.3g}", users[name]))
        elif weight.ndim == 2 and (lost := _rounding(weight)) > MOST_ROUNDING:
            text = f"{name}, up to {largest:.2g}, loses {lost:.1%} to rounding"
            found.append((text, users[name]))
    return found


def _rounding(weight: np.ndarray) -> float:
    """Share of a matrix' norm that fp16 does not keep."""
    norm = float(np.linalg.norm(weight))
    return float(np.linalg.norm(weight - weight.astype(np.float16))) / norm if norm else 0.0


def _run(
    graph: LeanGraph,
    types: Mapping[str, str],
    users: Mapping[str, list[str]],
    batches: Sequence[Batch],
) -> list[tuple[_Probe, float]]:
    """The probes of a graph with the largest magnitude that each saw."""
    probed = onnx.ModelProto()
    probed.CopyFrom(graph.model)
    probes: dict[str, _Probe] = {}
    for node in graph.model.graph.node:
        for name in node.output:
            if types.get(name) == "tensor(float)":
                probes[_magnitude(probed, name)] = _Probe(name, tuple(users[name]))
    for node in list(probed.graph.node):
        probes |= _inside(probed, node)
    session = weightless.session(probed, probes)
    largest = np.zeros(len(probes))
    for batch in batches:
        found = session.run(list(probes), {**batch, **graph.weights})
        largest = np.maximum(largest, found)  # keeps what is not a number
    return [
        (probe, float(magnitude) * probe.scale)
        for probe, magnitude in zip(probes.values(), largest, strict=True)
    ]


def _inside(model: onnx.ModelProto, node: NodeProto) -> dict[str, _Probe]:
    """Probes of what a fused operator computes on the way."""
    if node.op_type == "Attention":
        return _inside_attention(model, node)
    probes = {}
    only = (node.name,)
    position = _SUMS.get(node.op_type)
    if position is not None:
        # An output that the operator has on request.
        node.output.extend([""] * (position + 1 - len(node.output)))
        value = node.output[position] = node.output[position] or f"{node.name}/probe_sum"
        probes[_magnitude(model, value)] = _Probe(f"the sum in {node.name}", only)
    elif node.op_type == "LayerNormalization":
        value = node.input[0]
    else:
        return {}
    square = _add(model, "Mul", [value, value], f"{node.name}/probe_square")
    mean = _mean(model, square, f"{node.name}/probe_mean")
    probes[_magnitude(model, mean)] = _Probe(f"the mean square in {node.name}", only)
    return probes


def _inside_attention(model: onnx.ModelProto, node: NodeProto) -> dict[str, _Probe]:
    """Projections (batch, seq, 3 × width), and q·kᵀ / √head size (batch, heads, seq, seq)."""
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    heads = attributes["num_heads"]
    head_size = _columns(model, node.input[1]) // 3 // heads
    prefix = f"{node.name}/probe_"
    projected = _add(model, "MatMul", node.input[:2], f"{prefix}product")
    if node.input[2]:
        projected = _add(model, "Add", [projected, node.input[2]], f"{prefix}projected")
    shape = numpy_helper.from_array(np.array([0, 0, 3, heads, head_size]), f"{prefix}shape")
    indices = [numpy_helper.from_array(np.array(i), f"{prefix}index{i}") for i in range(2)]
    model.graph.initializer.extend([shape, *indices])
    parts = _add(model, "Reshape", [projected, shape.name], f"{prefix}parts")
    query, key = (
        _add(model, "Gather", [parts, index.name], f"{index.name}_taken", axis=2)
        for index in indices
    )  # (batch, seq, heads, head size)
    query = _add(model, "Transpose", [query], f"{prefix}query", perm=[0, 2, 1, 3])
    key = _add(model, "Transpose", [key], f"{prefix}key", perm=[0, 2, 3, 1])
    scores = _add(model, "MatMul", [query, key], f"{prefix}scores")
    scale = attributes.get("scale") or 1 / math.sqrt(head_size)
    only = (node.name,)
    return {
        _magnitude(model, projected): _Probe(f"a projection in {node.name}", only),
        _magnitude(model, scores): _Probe(f"a score in {node.name}", only, scale),
    }


def _magnitude(model: onnx.ModelProto, value: str) -> str:
    """Adds nodes for a value's largest magnitude, a scalar; returns its name."""
    absolute = _add(model, "Abs", [value], f"{value}/probe_abs")
    return _add(model, "ReduceMax", [absolute], f"{value}/probe", keepdims=0)


def _columns(model: onnx.ModelProto, weight: str) -> int:
    """Of a matrix of weights, which is an input or a small initializer."""
    for value in model.graph.input:
        if value.name == weight:
            return int(value.type.tensor_type.shape.dim[1].dim_value)
    return next(int(t.dims[1]) for t in model.graph.initializer if t.name == weight)


def _mean(model: onnx.ModelProto, value: str, name: str) -> str:
    """Adds a mean over the last axis, which opset 18 takes as an input."""
    (opset,) = (o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    if opset < 18:
        return _add(model, "ReduceMean", [value], name, axes=[-1], keepdims=0)
    axes = numpy_helper.from_array(np.array([-1]), f"{name}_axes")
    model.graph.initializer.append(axes)
    return _add(model, "ReduceMean", [value, axes.name], name, keepdims=0)


def _add(
    model: onnx.ModelProto, operator: str, inputs: Sequence[str], output: str, **attributes: Any
) -> str:
    model.graph.node.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
    return output
