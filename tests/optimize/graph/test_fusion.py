"""The fusion that copies no weights writes what ONNX Runtime's own optimizer writes."""

import onnx
import pytest
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.optimizer import optimize_model

from optimize.graph import fusion, weightless
from optimize.graph.export import export
from optimize.source.assembly import build_module, layer_shapes
from optimize.source.family import family_of
from tests.optimize.source import sources


def parts(path):
    graph = onnx.load(str(path)).graph
    nodes = sorted(node.SerializeToString() for node in graph.node)
    weights = {t.name: onnx.numpy_helper.to_array(t).tolist() for t in graph.initializer}
    assert len(weights) == len(graph.initializer)
    return nodes, weights


def theirs_with_sums(path):
    """Sums that are normalized are no Add, so that ONNX Runtime does not fuse them again."""
    model = onnx.load(str(path))
    makers = {output: node for node in model.graph.node for output in node.output}
    for node in model.graph.node:
        maker = makers.get(node.input[0]) if node.op_type == "LayerNormalization" else None
        if maker and maker.op_type == "Add":
            maker.op_type = "Sum"
    onnx.save(model, str(path))


@pytest.mark.parametrize("target", ["cpu", "cuda"])
@pytest.mark.parametrize("kind", sources.KINDS)
def test_the_graph_is_that_of_the_optimizer(kind, target, tmp_path, monkeypatch):
    # So small that every matrix and every bias of these models is kept out of the graph.
    monkeypatch.setattr(weightless, "SMALL_BYTES", 100)
    model = sources.network(kind, vocab_size=50)
    config = model.config
    state = {n: t for n, t in model.state_dict().items() if family_of(config).owns(n)}
    module = build_module(state, config, layer_shapes(state, config))
    plain, ours, theirs = (tmp_path / f"{name}.onnx" for name in ("plain", "ours", "theirs"))
    export(module, plain, opset=18)
    expected = family_of(config).fused_operators(config, target)
    fusion.fuse(plain, ours, target=target, expected=expected)
    options = FusionOptions("bert")
    options.enable_skip_layer_norm = options.enable_bias_skip_layer_norm = target == "cuda"
    optimize_model(
        str(plain),
        model_type="bert",
        num_heads=0,
        hidden_size=0,
        optimization_options=options,
        opt_level=0,
        use_gpu=False,
    ).save_model_to_file(str(theirs))
    opsets = [{o.domain: o.version for o in onnx.load(str(p)).opset_import} for p in (ours, theirs)]
    assert opsets[0] == opsets[1]
    assert opsets[0].keys() >= {"com.microsoft"}
    if target == "cpu":
        theirs_with_sums(theirs)
    nodes, weights = parts(ours)
    expected_nodes, expected_weights = parts(theirs)
    assert nodes == expected_nodes
    assert weights == expected_weights
