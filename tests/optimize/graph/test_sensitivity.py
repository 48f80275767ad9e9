"""Which products int8 costs most: found without making a graph for each."""

import onnx
import pytest
from onnx import numpy_helper

from optimize.evaluation.parity import QUESTIONS
from optimize.graph import calibration, sensitivity
from tests.optimize.source import sources
from tests.optimize.source.test_family import journey


@pytest.fixture(scope="module", params=["bert", "roberta"])
def steps(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sensitivity")
    return journey(sources.write(request.param, folder / "source"), folder)


def errors(step, model):
    return sensitivity.errors(model, calibration.batches(step.folder, step.spec, QUESTIONS[:4]))


def test_every_product_with_weights_has_an_error(steps):
    found = errors(steps.graph, steps.graph.model_file)
    graph = onnx.load(str(steps.graph.model_file)).graph
    weights = {tensor.name for tensor in graph.initializer}
    assert list(found) == [
        node.name
        for node in graph.node
        if node.op_type in ("MatMul", "Attention") and node.input[1] in weights
    ]
    assert all(0 < error < 0.2 for error in found.values())


def test_an_outlier_is_found_and_costs_what_it_says(steps, tmp_path):
    """One weight of a product, 300 times as large as the others, leaves its column no steps."""
    model = onnx.load(str(steps.graph.model_file))
    products = [n for n in model.graph.node if n.op_type == "MatMul"]
    spoilt, other = products[1], products[2]
    for tensor in model.graph.initializer:
        if tensor.name == spoilt.input[1]:
            weight = numpy_helper.to_array(tensor).copy()
            weight[0] *= 300
            tensor.CopyFrom(numpy_helper.from_array(weight, tensor.name))
    path = tmp_path / "spoilt.onnx"
    onnx.save(model, str(path))
    found = errors(steps.graph, path)
    assert sensitivity.costliest(found)[0] == spoilt.name
    assert found[spoilt.name] > 1.5 * found[other.name]


def test_equal_errors_stay_in_order():
    assert sensitivity.costliest({"a": 0.1, "b": 0.3, "c": 0.1}) == ["b", "a", "c"]
