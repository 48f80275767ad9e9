"""Which matrix products lose most in int8: their errors against fp32 on questions.

An error is that of the product's own result, relative to its norm over all tokens, with its input
quantized over the whole feature and its weights per column, as the int8 graph has them. What the
rest of the model makes of it is not followed: one pass of the fp32 graph tells all of them, where a
graph for each would have to be made and run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from optimize.graph import weightless
from optimize.graph.weightless import LeanGraph
from optimize.memory import freed_afterwards
from predictor.types import Batch

Matrix = NDArray[np.float32]

_PRODUCTS = ("MatMul", "Attention")
# Of an unsigned activation, and of a signed weight in seven bits to either side of zero.
_STEPS, _WEIGHT_STEPS = 255, 64


@freed_afterwards
def errors(model: Path, batches: Iterable[Batch]) -> dict[str, float]:
    """The relative error of each product with weights, by its node's name, in graph order.

    Args:
        model: A fused fp32 graph.
        batches: Its inputs, int64 (1, seq) each; at least one.
    """
    graph = LeanGraph.read(model)
    weights = {**_small_matrices(graph.model), **graph.weights}
    products = {
        node.name: (node.input[0], weights[node.input[1]])
        for node in graph.model.graph.node
        if node.op_type in _PRODUCTS and node.input[1] in weights
    }
    rounded = {name: _rounded_weights(weight) for name, (_, weight) in products.items()}
    read = list(dict.fromkeys(value for value, _ in products.values()))
    session = weightless.session(graph.model, read)
    lost = dict.fromkeys(products, 0.0)
    whole = dict.fromkeys(products, 0.0)
    for batch in batches:
        values = dict(zip(read, session.run(read, {**batch, **graph.weights}), strict=True))
        for name, (value, weight) in products.items():
            inputs = values[value].reshape(-1, len(weight))  # (tokens, in)
            exact = inputs @ weight
            lost[name] += float(np.sum((_rounded(inputs) @ rounded[name] - exact) ** 2))
            whole[name] += float(np.sum(exact**2))
    return {name: (lost[name] / whole[name]) ** 0.5 if whole[name] else 0.0 for name in products}


def costliest(found: Mapping[str, float]) -> list[str]:
    """The products by their error, the largest first; equal ones in graph order."""
    return sorted(found, key=lambda name: -found[name])


def _small_matrices(model: onnx.ModelProto) -> dict[str, Matrix]:
    return {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) == 2
    }


def _rounded(inputs: Matrix) -> Matrix:
    """What unsigned 8-bit integers keep of activations, with one range for all."""
    low, high = min(float(inputs.min()), 0.0), max(float(inputs.max()), 0.0)
    scale = (high - low) / _STEPS or 1.0
    zero = round(-low / scale)
    kept: Matrix = (np.clip(np.rint(inputs / scale) + zero, 0, _STEPS) - zero) * np.float32(scale)
    return kept


def _rounded_weights(weight: Matrix) -> Matrix:
    """What signed 7-bit integers keep of weights (in, out), with a scale for each column."""
    scale = np.abs(weight).max(axis=0) / _WEIGHT_STEPS
    scale[scale == 0] = 1
    kept: Matrix = np.rint(weight / scale) * scale
    return kept
