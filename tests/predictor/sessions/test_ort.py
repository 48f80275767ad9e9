"""What ONNX Runtime makes of a graph when the session loads it, and that it runs it."""

import collections
import functools

import onnx
import onnxruntime
import pytest

from optimize.graph.quantize import Variant
from predictor.artifact import digest, write_spec
from predictor.engine import Engine
from predictor.sessions.protocol import SessionOptions
from tests.optimize.graph.test_calibration import EXAMPLES
from tests.optimize.source import sources
from tests.optimize.source.sources import LAYERS
from tests.optimize.source.test_family import journey

NORMS = 2 * LAYERS
PRODUCTS = 3 * LAYERS + 1
INT8 = [Variant(), Variant(asymmetric=True), Variant(static=True)]


def loaded(folder, monkeypatch, path, **changes):
    """The operators that ONNX Runtime runs of an artifact, its session made with `changes`."""
    real = onnxruntime.InferenceSession

    def session(model, settings, **given):
        settings.optimized_model_filepath = str(path)
        return real(model, settings, **given | changes)

    with monkeypatch.context() as patched:
        patched.setattr(onnxruntime, "InferenceSession", session)
        Engine.load(folder, options=SessionOptions(threads=1))
    return collections.Counter(node.op_type for node in onnx.load(str(path)).graph.node)


@pytest.fixture
def run(monkeypatch, tmp_path):
    return functools.partial(loaded, monkeypatch=monkeypatch, path=tmp_path / "loaded.onnx")


@pytest.fixture(scope="module", params=["bert", "roberta", "distilbert"])
def steps(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return journey(sources.write(request.param, folder / "source"), folder)


def test_a_fused_graph_stays_as_it_is(run, steps):
    found = run(steps.graph.folder)
    counts = steps.graph.notes["fused operators"] | {"MatMul": PRODUCTS}
    assert {name: found[name] for name in counts} == counts
    assert found["SkipLayerNormalization"] == 0


@pytest.mark.parametrize("variant", INT8, ids=lambda variant: variant.name)
def test_all_of_int8_fuses_but_the_norms(run, steps, variant):
    ranges = steps.builder.ranges(steps.graph, EXAMPLES) if variant.static else None
    step = steps.builder.int8(variant, steps.graph, ranges)
    found = run(step.folder)
    with_adds(step)
    expected = run(step.folder)
    # Otherwise this ONNX Runtime no longer needs to be kept from it.
    assert (expected["SkipLayerNormalization"], found["SkipLayerNormalization"]) == (NORMS, 0)
    assert found["Sum"] == found["LayerNormalization"] >= NORMS
    norms = ("Add", "Sum", "LayerNormalization", "SkipLayerNormalization")
    assert {name: n for name, n in found.items() if name not in norms} == {
        name: n for name, n in expected.items() if name not in norms
    }
    product = "MatMulIntegerToFloat" if variant.static else "DynamicQuantizeMatMul"
    assert (found[product], found["QAttention"]) == (PRODUCTS, LAYERS)
    # Every product has taken its bias in, but for those that GELU has.
    assert found["Add"] == run(steps.graph.folder)["Add"] - (PRODUCTS - LAYERS)


def with_adds(step):
    """Writes the model of a step with Add for Sum."""
    model = onnx.load(str(step.model_file))
    for node in model.graph.node:
        if node.op_type == "Sum":
            node.op_type = "Add"
    onnx.save(model, str(step.model_file))
    files = step.spec.files | {step.model_file.name: digest(step.model_file)}
    write_spec(step.folder, step.spec.model_copy(update={"files": files}))
