"""INT8 quantization of a fused graph: weights per channel, activations dynamic or calibrated.

Dynamic is ONNX Runtime's `quantize_dynamic`: each run takes the range of every activation from its
own batch. Static is the same graph with the ranges that calibration found written into it.

ONNX Runtime's `quantize_static` is not used for that: it knows no fused Attention and leaves it in
fp32, and unfused attention is slower too. What a run executes here are QAttention and, in the
place of DynamicQuantizeMatMul, MatMulIntegerToFloat: the fastest integer kernels of either kind.

Symmetric weights have 7 bits, -64 to 64. AVX2's and AVX-512's vpmaddubsw adds two products of
unsigned activations (0 to 255) and signed weights in 16 bits and saturates: 2 * 255 * 127 is beyond
32767, 2 * 255 * 64 is not. Only the VNNI instructions add in 32 bits, so with 8 bits the answers
would depend on the CPU. Unsigned weights are widened to 16 bits first, on every CPU: they keep
their 8 bits, on slower kernels. Embedding tables are looked up, not multiplied, and keep them too.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from optimize.graph.calibration import Ranges
from optimize.memory import freed_afterwards

_PRODUCTS = ("MatMul", "Attention")
# RoBERTa's embeddings do not fuse: their tables are looked up by Gather.
_EMBEDDINGS = ("EmbedLayerNormalization", "Gather")
_CONTRIB = "com.microsoft"
_LEVELS = 255


@dataclass(frozen=True)
class Variant:
    """One way to quantize.

    Attributes:
        asymmetric: Weights unsigned with a zero point per channel, in 8 bits, which keeps more of a
            small model's answers, instead of symmetric ones in 7, which the CPU's kernels run
            fastest.
        static: Activations have calibrated ranges, not those of each batch.
        embeddings: The embedding tables are quantized too: a smaller file, no faster.
        keep_head: The last product, which gives the logits, stays fp32.
        keep: Further products that stay fp32, by their nodes' names.
        fast_gelu: GELU is approximated by tanh.
    """

    asymmetric: bool = False
    static: bool = False
    embeddings: bool = False
    keep_head: bool = False
    fast_gelu: bool = False
    keep: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """`int8`, and what is not the default."""
        parts = {
            "asymmetric": self.asymmetric,
            "static": self.static,
            "embeddings": self.embeddings,
            "fp32-head": self.keep_head,
            "fast-gelu": self.fast_gelu,
            f"{len(self.keep)}-fp32": bool(self.keep),
        }
        return "-".join(["int8", *(part for part, is_so in parts.items() if is_so)])

    @property
    def kept(self) -> str:
        """What stays fp32, in words."""
        parts = {"embeddings": not self.embeddings, "head": self.keep_head}
        return ", ".join(
            [*(part for part, is_so in parts.items() if is_so), "normalizations", *self.keep]
        )


def variants(*, static: bool, fast_gelu: bool) -> list[Variant]:
    """The variants that a build compares, whatever stays fp32 in them.

    Args:
        static: Whether there are calibrated ranges.
        fast_gelu: Whether each is tried with the approximated GELU too.
    """
    kinds = [Variant(), Variant(asymmetric=True)] + [Variant(static=True)] * static
    return [
        Variant(kind.asymmetric, kind.static, embeddings, fast_gelu=gelu)
        for gelu in (False, True)[: 1 + fast_gelu]
        for kind in kinds
        for embeddings in (False, True)
    ]


@freed_afterwards
def to_int8(source: Path, path: Path, variant: Variant, ranges: Ranges | None = None) -> None:
    """Quantizes an encoder's matrix products; the normalizations stay fp32.

    Args:
        source: The fused fp32 graph.
        path: The file to write.
        variant: How.
        ranges: Of the activations of `source`, for a static variant.
    """
    types = (*_PRODUCTS, *_EMBEDDINGS) if variant.embeddings else _PRODUCTS
    with TemporaryDirectory(dir=path.parent) as scratch, _without_preprocessing_hint():
        quantized = Path(scratch) / "model.onnx"
        quantize_dynamic(
            source,
            quantized,
            op_types_to_quantize=list(types),
            nodes_to_exclude=[*variant.keep, *([head(source)] if variant.keep_head else [])],
            per_channel=True,
            reduce_range=not variant.asymmetric,
            weight_type=QuantType.QUInt8 if variant.asymmetric else QuantType.QInt8,
            # Shape inference knows nothing of fused operators' outputs.
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
        if variant.static or variant.fast_gelu:
            model = onnx.load(str(quantized))
            if variant.static:
                _fix_ranges(model.graph, ranges or {})
                _join_products(model.graph)
            if variant.fast_gelu:
                _approximate_gelu(model.graph)
            onnx.save(model, str(quantized))
        quantized.replace(path)


def head(source: Path) -> str:
    """The name of the node whose product gives the logits: the last one with weights."""
    graph = onnx.load(str(source)).graph
    weights = {tensor.name for tensor in graph.initializer}
    products = [n.name for n in graph.node if n.op_type == "MatMul" and n.input[1] in weights]
    last: str = products[-1]
    return last


def _fix_ranges(graph: onnx.GraphProto, ranges: Ranges) -> None:
    """Gives every activation that is quantized the scale and zero point of its range."""
    for node in graph.node:
        if node.op_type != "DynamicQuantizeLinear":
            continue
        (tensor,) = node.input
        quantized, scale_name, zero_point_name = node.output
        scale, zero_point = _unsigned(*ranges[tensor])
        graph.initializer.append(numpy_helper.from_array(scale, scale_name))
        graph.initializer.append(numpy_helper.from_array(zero_point, zero_point_name))
        node.CopyFrom(
            onnx.helper.make_node(
                "QuantizeLinear", [tensor, scale_name, zero_point_name], [quantized], node.name
            )
        )


def _unsigned(low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Scale and zero point of a range, as DynamicQuantizeLinear defines them."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / _LEVELS or 1.0
    zero_point = round(min(max(-low / scale, 0), _LEVELS))
    return np.array(scale, dtype=np.float32), np.array(zero_point, dtype=np.uint8)


def _join_products(graph: onnx.GraphProto) -> None:
    """Makes MatMulInteger, what scales its result and the bias after it one operator.

    ONNX Runtime does so by itself where the scales come out of another operator; two constant
    scales it multiplies first, and then no longer finds the pattern.
    """
    vectors = {tensor.name for tensor in graph.initializer if len(tensor.dims) == 1}
    makers = {output: node for node in graph.node for output in node.output}
    takers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            takers.setdefault(name, []).append(node)
    joined = []
    for node in [node for node in graph.node if node.op_type == "MatMulInteger"]:
        (cast,) = takers[node.output[0]]
        (product,) = takers[cast.output[0]]
        (scales,) = (makers[name] for name in product.input if name != cast.output[0])
        data, weights, zero_point, weights_zero_point = node.input
        last, bias = product, []
        after = takers.get(product.output[0], [])
        if len(after) == 1 and after[0].op_type == "Add":
            bias = [name for name in after[0].input if name in vectors]
            last = after[0] if bias else product
        node.CopyFrom(
            onnx.helper.make_node(
                "MatMulIntegerToFloat",
                [data, weights, *scales.input, zero_point, weights_zero_point, *bias],
                last.output,
                node.name,
                domain=_CONTRIB,
            )
        )
        joined += [cast, product, scales, last]
    for node in {node.output[0]: node for node in joined}.values():
        graph.node.remove(node)


def _approximate_gelu(graph: onnx.GraphProto) -> None:
    """Approximates GELU by tanh, as ONNX Runtime's GeluApproximation does."""
    for node in graph.node:
        if node.op_type in ("BiasGelu", "Gelu") and node.domain == _CONTRIB:
            node.op_type = "FastGelu"


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
