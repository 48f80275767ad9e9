"""Calibration: which questions it takes, and the ranges that it finds."""

import argparse

import numpy as np
import onnx
import pytest
from onnxruntime import InferenceSession

from optimize.data.squad import Example
from optimize.errors import SourceError
from optimize.evaluation.parity import QUESTIONS
from optimize.graph import calibration
from optimize.recipe import Recipe
from optimize.verbs.parser import parser
from tests.optimize.source import sources
from tests.optimize.source.test_family import journey

EXAMPLES = [Example(str(i), "", q.question, q.context, ()) for i, q in enumerate(QUESTIONS)]


def test_the_command_line_knows_every_method():
    (option,) = (a for a in _quantize()._actions if a.dest == "calibration")
    assert set(option.choices) == set(calibration.METHODS)
    assert option.default == Recipe.calibration


def _quantize():
    (verbs,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    return verbs.choices["quantize"]


def numbered(count):
    return [Example(str(i), "", "q", "c", ()) for i in range(count)]


def test_no_question_is_both_calibrated_and_chosen_on():
    examples = numbered(1000)
    calibrating, choosing = calibration.split(examples, 100, 500)
    assert (len(calibrating), len(choosing)) == (100, 500)
    assert not {e.id for e in calibrating} & {e.id for e in choosing}
    assert calibration.split(examples, 100, 500) == (calibrating, choosing)
    assert calibration.split(examples, 100, 500, seed=1) != (calibrating, choosing)


@pytest.mark.parametrize(("count", "first"), [(2, 1), (12, 2), (60, 10)])
def test_few_questions_are_shared(count, first):
    calibrating, choosing = calibration.split(numbered(count), 100, 500)
    assert (len(calibrating), len(choosing)) == (first, count - first)
    assert {e.id for e in (*calibrating, *choosing)} == {str(i) for i in range(count)}


def test_one_question_is_too_few():
    with pytest.raises(SourceError, match="need two questions"):
        calibration.split(numbered(1), 100, 500)


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calibration")
    return journey(sources.write("bert", folder / "source"), folder).graph


def batches(graph, examples=EXAMPLES):
    return calibration.batches(graph.folder, graph.spec, examples)


def test_batches_are_what_the_engine_runs(graph):
    engine = graph.engine
    seen = []
    engine_run, engine.session.run = engine.session.run, lambda b: seen.append(b) or engine_run(b)
    try:
        for question in QUESTIONS:
            for feature in engine.prepare([question]):
                engine.run_batch([feature])
    finally:
        del engine.session.run
    ours = list(batches(graph))
    assert len(ours) == len(seen) > len(QUESTIONS)
    for a, b in zip(ours, seen, strict=True):
        assert {name: array.tolist() for name, array in a.items()} == {
            name: array.tolist() for name, array in b.items()
        }


def test_ranges_are_those_of_the_tensors(graph, tmp_path):
    found = calibration.ranges(graph.model_file, batches(graph), "minmax")
    assert found == calibration.ranges(graph.model_file, batches(graph), "minmax")
    model = onnx.load(str(graph.model_file))
    products = [n for n in model.graph.node if n.op_type in ("MatMul", "Attention")]
    names = {node.input[0] for node in products}
    assert names <= set(found)
    for name in sorted(names):
        model.graph.output.append(
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        )
    onnx.save(model, str(tmp_path / "all.onnx"))
    session = InferenceSession(tmp_path / "all.onnx")
    runs = [
        dict(zip(sorted(names), session.run(sorted(names), b), strict=True)) for b in batches(graph)
    ]
    for name in names:
        low, high = min(r[name].min() for r in runs), max(r[name].max() for r in runs)
        assert np.allclose(found[name], (low, high), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", ["entropy", "percentile"])
def test_the_other_methods_cut_ranges(graph, method, capsys):
    whole = calibration.ranges(graph.model_file, batches(graph), "minmax")
    cut = calibration.ranges(graph.model_file, batches(graph), method)
    assert cut.keys() == whole.keys()
    for name, (low, high) in cut.items():
        room = 0.02 * (whole[name][1] - whole[name][0])  # a bin of a histogram, or two
        assert low < high
        assert whole[name][0] - room <= low
        assert high <= whole[name][1] + room
    cuts = any(cut[n][1] - cut[n][0] < 0.99 * (whole[n][1] - whole[n][0]) for n in cut)
    assert cuts == (method == "entropy")  # one value in 100,000 is none of these few
    assert capsys.readouterr().out == ""
