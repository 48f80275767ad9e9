"""Every int8 variant of every family: what is quantized, what is not, and that it runs."""

import collections

import numpy as np
import onnx
import pytest

from optimize.evaluation.parity import QUESTIONS
from optimize.graph import quantize
from optimize.graph.quantize import Variant
from tests.optimize.graph.test_calibration import EXAMPLES
from tests.optimize.source import sources
from tests.optimize.source.test_family import LAYERS, journey, relative_difference

PRODUCTS = ("QAttention", "MatMulInteger", "MatMulIntegerToFloat")
EVERY = [
    Variant(),
    Variant(asymmetric=True, keep_head=True),
    Variant(embeddings=True, fast_gelu=True),
    Variant(static=True),
    Variant(asymmetric=True, static=True, embeddings=True),
    Variant(static=True, embeddings=True, keep_head=True, fast_gelu=True),
]


@pytest.fixture(scope="module", params=sources.KINDS)
def steps(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("quantize")
    return journey(sources.write(request.param, folder / "source"), folder)


@pytest.fixture(scope="module")
def ranges(steps):
    return steps.builder.ranges(steps.graph, EXAMPLES)


def operators(step):
    graph = onnx.load(str(step.model_file)).graph
    return collections.Counter(node.op_type for node in graph.node)


def fp32_matrices(step):
    weights = onnx.load(str(step.model_file)).graph.initializer
    return sum(t.data_type == onnx.TensorProto.FLOAT and len(t.dims) == 2 for t in weights)


@pytest.mark.parametrize("variant", EVERY, ids=lambda variant: variant.name)
def test_a_variant_is_what_its_name_says(steps, ranges, variant):
    step = steps.builder.int8(variant, steps.graph, ranges if variant.static else None)
    found, before = operators(step), operators(steps.graph)
    assert (found["Attention"], found["QAttention"]) == (0, LAYERS)
    kind = "MatMulIntegerToFloat" if variant.static else "MatMulInteger"
    assert found[kind] == before["MatMul"] - variant.keep_head
    assert found["MatMul"] == variant.keep_head
    assert bool(found["DynamicQuantizeLinear"]) == (not variant.static)
    assert found["FastGelu"] == LAYERS * variant.fast_gelu
    assert found["BiasGelu"] == LAYERS * (not variant.fast_gelu)
    # The embedding tables, and the head.
    assert (fp32_matrices(step) > variant.keep_head) == (not variant.embeddings)
    features = steps.graph.engine.prepare(QUESTIONS)
    expected = steps.graph.engine.run(features)
    assert 0 < relative_difference(step.engine.run(features), expected) < 0.5


@pytest.mark.parametrize("variant", EVERY, ids=lambda variant: variant.name)
def test_no_pair_of_products_leaves_16_bits(steps, ranges, variant, tmp_path):
    """AVX2 adds two products of unsigned activations and signed weights in 16 bits."""
    path = tmp_path / "model.onnx"
    quantize.to_int8(steps.graph.model_file, path, variant, ranges if variant.static else None)
    graph = onnx.load(str(path)).graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    products = [node for node in graph.node if node.op_type in PRODUCTS]
    before = operators(steps.graph)
    assert len(products) == before["Attention"] + before["MatMul"] - variant.keep_head
    for node in products:
        values = onnx.numpy_helper.to_array(weights[node.input[1]])
        assert values.dtype == (np.uint8 if variant.asymmetric else np.int8)
        if not variant.asymmetric:
            largest = int(np.abs(values.astype(int)).max())
            assert 2 * 255 * largest <= np.iinfo(np.int16).max
            assert largest == 64


def test_names_tell_variants_apart():
    assert len({variant.name for variant in EVERY}) == len(EVERY)
    assert Variant().name == "int8"
    assert Variant(True, False, True, True, True).name == (
        "int8-asymmetric-embeddings-fp32-head-fast-gelu"
    )
    assert Variant().kept == "embeddings, normalizations"
    assert Variant(embeddings=True, keep_head=True).kept == "head, normalizations"


def test_a_build_compares_static_variants_only_with_ranges():
    names = [v.name for v in quantize.variants(static=False, fast_gelu=False)]
    assert names == ["int8", "int8-embeddings", "int8-asymmetric", "int8-asymmetric-embeddings"]
    more = quantize.variants(static=True, fast_gelu=True)
    assert [v.name for v in more if not v.fast_gelu][4:] == [
        "int8-static",
        "int8-static-embeddings",
    ]
    assert len(more) == len(set(more)) == 12


def test_a_static_feature_is_not_changed_by_its_neighbours(steps, ranges):
    step = steps.builder.int8(Variant(static=True, fast_gelu=True), steps.graph, ranges)
    features = sorted(step.engine.prepare(QUESTIONS), key=len)[-2:]
    together = step.engine.run_batch(features)
    for feature, logits in zip(features, together, strict=True):
        (alone,) = step.engine.run_batch([feature])
        assert np.allclose(alone.start, logits.start, atol=1e-4)
