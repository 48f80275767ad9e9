"""fp16 keeps what it cannot hold in fp32, names it, and is ONNX Runtime's own conversion else."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnxruntime.transformers.onnx_model_bert import BertOnnxModel

from optimize.errors import GateFailed
from optimize.graph import fp16, fusion, weightless
from optimize.graph.export import export
from optimize.source.assembly import build_module, layer_shapes
from optimize.source.family import family_of
from tests.optimize.graph.test_fusion import parts
from tests.optimize.source import sources

ROWS, TOKENS, VOCABULARY = 3, 20, 50


def fused(folder, kind="bert", change=None, **config):
    """The fused graph of a small random model; changed before it is exported."""
    model = sources.network(kind, vocab_size=VOCABULARY, **config)
    if change:
        with torch.no_grad():
            change(model)
    family = family_of(model.config)
    state = {n: t for n, t in model.state_dict().items() if family.owns(n)}
    module = build_module(state, model.config, layer_shapes(state, model.config))
    plain, path = folder / "plain.onnx", folder / "fused.onnx"
    export(module, plain, opset=18)
    expected = family.fused_operators(model.config, "cuda")
    fusion.fuse(plain, path, target="cuda", expected=expected)
    return path


def batch_of(path, seed=0):
    """Random tokens, the second row padded."""
    generator = np.random.default_rng(seed)
    ids = generator.integers(5, VOCABULARY, (ROWS, TOKENS))
    mask = np.ones_like(ids)
    mask[1, 12:] = ids[1, 12:] = 0
    values = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    return {i.name: values[i.name] for i in onnx.load(str(path)).graph.input}


def logits(path, batch):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert {o.type for o in session.get_outputs()} == {"tensor(float)"}
    rows = batch["attention_mask"].astype(bool)
    return np.concatenate([x[rows] for x in session.run(None, batch)])


def difference(path, reference, batch):
    ours, theirs = logits(path, batch), logits(reference, batch)
    return np.max(np.abs(ours - theirs)) / np.max(np.abs(theirs))


def all_finite(path, batch):
    """Whether no value is beyond fp16, also those that a CPU would hand on in fp32."""
    model = onnx.load(str(path))
    names = [name for node in model.graph.node for name in node.output if name]
    session = weightless.session(model, names)
    return all(np.isfinite(value).all() for value in session.run(None, batch))


def plain_conversion(source, path):
    """ONNX Runtime's conversion, which keeps nothing in fp32."""
    model = BertOnnxModel(onnx.load(str(source)))
    model.convert_float_to_float16(keep_io_types=True, use_symbolic_shape_infer=True)
    model.save_model_to_file(str(path))
    return path


def unnamed(path):
    """The nodes; one that came without a name has got one."""
    graph = onnx.load(str(path)).graph
    return sorted((n.op_type, *n.input, "→", *n.output, *map(str, n.attribute)) for n in graph.node)


@pytest.mark.parametrize("kind", sources.KINDS)
def test_in_range_it_is_the_plain_conversion(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(weightless, "SMALL_BYTES", 100)
    source = fused(tmp_path, kind)
    ours = tmp_path / "ours.onnx"
    notes = fp16.to_fp16(source, ours, [batch_of(source)])
    assert notes["nodes kept in fp32"] == "none"
    plain = plain_conversion(source, tmp_path / "plain16.onnx")
    assert unnamed(ours) == unnamed(plain)
    assert parts(ours)[1] == parts(plain)[1]
    assert difference(ours, source, batch_of(source, seed=1)) < 1e-2


def scale(layer, factor):
    """Makes one layer's neurons larger, and what they are multiplied with smaller."""

    def change(model):
        *_, inner, outer = sources.linears(model)[layer]
        inner.weight *= factor
        inner.bias *= factor
        outer.weight /= factor

    return change


@pytest.mark.parametrize(
    ("kind", "activation"), [("bert", "gelu"), ("bert", "relu"), ("roberta", "gelu")]
)
def test_what_overflows_stays_in_fp32(kind, activation, tmp_path, monkeypatch):
    monkeypatch.setattr(weightless, "SMALL_BYTES", 100)
    source = fused(tmp_path, kind, scale(1, 2.0**21), hidden_act=activation)
    batch, other = batch_of(source), batch_of(source, seed=1)
    wrong = plain_conversion(source, tmp_path / "plain16.onnx")
    assert not difference(wrong, source, other) < 0.1  # or it is not a number
    assert not all_finite(wrong, other)
    ours = tmp_path / "ours.onnx"
    notes = fp16.to_fp16(source, ours, [batch])
    assert difference(ours, source, other) < 1e-2
    assert all_finite(ours, other)
    kept = notes["nodes kept in fp32"]
    multiplied = {n for n in kept if n.endswith("/MatMul")}
    assert {n.split("layer.1/")[1] for n in multiplied} == {
        "intermediate/dense/MatMul",
        "output/dense/MatMul",
    }
    assert all("reaches" in text or "to rounding" in text for text in kept.values())
    # They hand their values to each other as they are, and all the others are fp16.
    types = weightless.tensor_types(onnx.load(str(ours)))
    graph = onnx.load(str(ours)).graph
    producers = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        inside = [types[n] for n in (*node.input, *node.output) if "float" in types.get(n, "")]
        if node.name in kept:
            assert set(inside) == {"tensor(float)"}
            values = [producers[n] for n in node.input if n in producers]
            assert {v.name in kept or v.op_type == "Cast" for v in values} <= {True}
        elif node.op_type != "Cast":
            assert set(inside) <= {"tensor(float16)"}


def attention(model, query, key):
    first, second, *_ = sources.linears(model)[2]
    for linear, factor in ((first, query), (second, key)):
        linear.weight *= factor
        linear.bias *= factor


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda m: attention(m, 150, 150), "a score in Attention_2 reaches"),
        (lambda m: attention(m, 2e4, 5e-5), "a projection in Attention_2 reaches"),
        (scale(0, 2.0**-20), "stays below"),
        (lambda m: m.base_model.embeddings.word_embeddings.weight.mul_(2e5), "weight reaches"),
        (
            lambda m: m.base_model.embeddings.word_embeddings.weight.mul_(1e3),
            "the mean square in EmbedLayerNormalization_0 reaches",
        ),
    ],
)
def test_what_operators_have_inside_counts_too(change, what, tmp_path):
    source = fused(tmp_path, change=change)
    ours = tmp_path / "ours.onnx"
    notes = fp16.to_fp16(source, ours, [batch_of(source)])
    assert any(what in text for text in notes["nodes kept in fp32"].values()), notes
    assert difference(ours, source, batch_of(source, seed=1)) < 1e-2


def test_a_node_in_fp32_that_is_not_listed_fails(tmp_path, monkeypatch):
    convert = fp16.float16.convert_float_to_float16

    def careless(model, node_block_list, **options):
        more = [*node_block_list, "Attention_1", "GeluBias_0"]
        return convert(model, node_block_list=more, **options)

    source = fused(tmp_path)
    assert {n.name for n in onnx.load(str(source)).graph.node} >= {"Attention_1"}
    monkeypatch.setattr(fp16.float16, "convert_float_to_float16", careless)
    with pytest.raises(GateFailed, match=r"not listed compute in fp32: Attention_1"):
        fp16.to_fp16(source, tmp_path / "ours.onnx", [batch_of(source)])
    assert not (tmp_path / "ours.onnx").exists()


@pytest.mark.parametrize("opset", [14, 17])
def test_older_opsets(opset, tmp_path):
    model = sources.network("bert", vocab_size=VOCABULARY)
    family = family_of(model.config)
    state = {n: t for n, t in model.state_dict().items() if family.owns(n)}
    module = build_module(state, model.config, layer_shapes(state, model.config))
    export(module, tmp_path / "plain.onnx", opset=opset)
    source, ours = tmp_path / "fused.onnx", tmp_path / "ours.onnx"
    fusion.fuse(tmp_path / "plain.onnx", source, target="cuda", expected={})
    notes = fp16.to_fp16(source, ours, [batch_of(source)])
    assert notes["nodes kept in fp32"] == "none"
    assert difference(ours, source, batch_of(source)) < 1e-2


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_a_graph_that_is_not_fused_keeps_its_mask_in_fp32(kind, tmp_path):
    """It adds the smallest fp32 number to the scores of padding."""
    fused(tmp_path, kind)
    source, ours = tmp_path / "plain.onnx", tmp_path / "ours.onnx"
    notes = fp16.to_fp16(source, ours, [batch_of(source)])
    kept = notes["nodes kept in fp32"]
    assert sum(name.endswith("/Softmax") for name in kept) == sources.LAYERS
    assert not any(name.endswith("/MatMul") for name in kept)
    assert all("reaches 3.4e+38" in text for text in kept.values())
    assert difference(ours, source, batch_of(source, seed=1)) < 1e-2
