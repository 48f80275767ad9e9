"""Every family from its files to answers, next to transformers' own model."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer, BertConfig

from optimize.errors import GateFailed, SourceError
from optimize.evaluation.parity import QUESTIONS
from optimize.graph import fusion
from optimize.graph.export import export
from optimize.graph.quantize import Variant
from optimize.recipe import Measurement, Recipe, Serving
from optimize.source import checkpoint, compaction
from optimize.source.assembly import build_module, layer_shapes
from optimize.source.family import FAMILIES, family_of
from optimize.steps import StepBuilder
from predictor.sessions import instructions
from predictor.types import Question
from tests.optimize.source import sources
from tests.optimize.source.sources import LAYERS, MAX_SEQ_LENGTH

# Measured with ONNX Runtime 1.32 on what the exporter writes.
FUSED = {"Attention": LAYERS, "BiasGelu": LAYERS}
NORMS = {
    "cpu": {"LayerNormalization": 2 * LAYERS},
    "cuda": {"SkipLayerNormalization": 2 * LAYERS},
}
EMBEDDED = dict.fromkeys(sources.KINDS, {"EmbedLayerNormalization": 1}) | {"roberta": {}}
# RoBERTa's embeddings do not fuse, but for their normalization.
ROBERTA_NORMS = {
    "cpu": {"LayerNormalization": 2 * LAYERS + 1},
    "cuda": NORMS["cuda"] | {"LayerNormalization": 1},
}
TYPED = ("input_ids", "attention_mask", "token_type_ids")
INPUTS = dict.fromkeys(sources.KINDS, TYPED) | {
    "roberta": TYPED[:2],
    "distilbert": TYPED[:2],
}
# Seven windows of 64 tokens and more.
LONG = Question(QUESTIONS[0].question, " ".join(dict.fromkeys(q.context for q in QUESTIONS)) * 3)


def journey(folder, scratch, allow_unfused=False):
    """The steps of one checkpoint up to the fused graph."""
    source = checkpoint.load(str(folder))
    compacted = compaction.compact(source.state, source.config)
    recipe = Recipe(
        model="m",
        output=scratch,
        allow_unfused=allow_unfused,
        serving=Serving(doc_stride=8, null_score_diff_threshold=None),
        measurement=Measurement(threads=1),
    )
    builder = StepBuilder(recipe, "0" * 64, scratch)
    plain = builder.torch("torch", source, compacted.state, compacted.layers, compacted.density)
    exported = builder.onnx(plain)
    return SimpleNamespace(
        folder=folder,
        builder=builder,
        torch=plain,
        onnx=exported,
        graph=builder.graph(exported),
    )


class Reference:
    """transformers' own tokenizer and model, one window at a time."""

    def __init__(self, folder):
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForQuestionAnswering.from_pretrained(folder).eval()

    def windows(self, question):
        return self.tokenizer(
            question.question,
            question.context,
            truncation="only_second",
            max_length=MAX_SEQ_LENGTH,
            stride=8,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )

    def logits(self, ids, type_ids):
        inputs = {"input_ids": ids, "attention_mask": [1] * len(ids)}
        if type_ids is not None:
            inputs["token_type_ids"] = type_ids
        with torch.inference_mode():
            output = self.model(**{name: torch.tensor([row]) for name, row in inputs.items()})
        return output.start_logits[0].numpy(), output.end_logits[0].numpy()

    def all_logits(self, windows):
        typed = self.model.config.model_type in ("bert", "electra")
        types = windows["token_type_ids"] if typed else None
        return [
            self.logits(ids, types[row] if types else None)
            for row, ids in enumerate(windows["input_ids"])
        ]

    def answer(self, question):
        windows = self.windows(question)
        spans = {}
        for row, (start, end) in enumerate(self.all_logits(windows)):
            offsets, sequence = windows["offset_mapping"][row], windows.sequence_ids(row)
            inside = [position for position, part in enumerate(sequence) if part == 1]
            for i in inside:
                for j in range(i, min(i + 30, inside[-1] + 1)):
                    place = (offsets[i][0], offsets[j][1])
                    score = start[i] + end[j]
                    spans[place] = max(spans.get(place, -np.inf), score)
        first, last = max(spans, key=spans.get)
        return question.context[first:last]


@pytest.fixture(scope="module", params=sources.KINDS)
def built(request, tmp_path_factory):
    scratch = tmp_path_factory.mktemp(request.param)
    folder = sources.write(request.param, scratch / "source", change=sources.mask)
    return request.param, journey(folder, scratch), Reference(folder)


def relative_difference(found, expected):
    largest = max(1.0, max(np.abs(x).max() for row in expected for x in row))
    difference = max(
        np.abs(a - b).max()
        for mine, theirs in zip(found, expected, strict=True)
        for a, b in zip(mine, theirs, strict=True)
    )
    return difference / largest


def test_what_a_family_is_fed_and_how_much(built):
    kind, steps, _ = built
    for step in (steps.torch, steps.onnx, steps.graph):
        assert step.spec.inputs == INPUTS[kind]
        assert step.spec.max_seq_length == MAX_SEQ_LENGTH
        assert step.spec.pad_token_id == (1 if kind == "roberta" else 0)


def test_what_the_gates_ran_on(built):
    _, steps, _ = built
    assert steps.torch.spec.instruction_sets is None
    assert steps.graph.spec.instruction_sets == instructions.detected()
    # Whatever it is made of, its weights are those of this schema.
    old = steps.graph.spec.model_copy(update={"schema_version": 1, "target": "cuda"})
    made = steps.builder.int8(Variant(embeddings=True), replace(steps.graph, spec=old)).spec
    assert (made.schema_version, made.instruction_sets) == (2, None)


def test_uneven_layers_are_compacted(built):
    spec = built[1].graph.spec
    assert tuple(layer.heads for layer in spec.layers) == sources.KEPT_HEADS
    assert tuple(layer.feed_forward for layer in spec.layers) == sources.KEPT_WIDTHS
    weights = 4 * 32 * 8 * sum(sources.KEPT_HEADS) + 2 * 32 * sum(sources.KEPT_WIDTHS)
    assert spec.density == pytest.approx(weights / (3 * (4 * 32 * 32 + 2 * 32 * 48)))


def operators(kind, target):
    norms = ROBERTA_NORMS if kind == "roberta" else NORMS
    return FUSED | EMBEDDED[kind] | norms[target]


def test_every_layer_fuses(built):
    kind, steps, _ = built
    assert steps.graph.notes["fused operators"] == operators(kind, "cpu")


@pytest.mark.parametrize("target", NORMS)
@pytest.mark.parametrize("kind", sources.KINDS)
def test_what_fuses_depends_on_the_target(kind, target, tmp_path):
    expected, counts = fused(kind, tmp_path, target)
    assert expected == counts == operators(kind, target)


@pytest.mark.parametrize("question", [*QUESTIONS[::4], LONG])
def test_logits_and_answers_are_those_of_transformers(built, question):
    _, steps, reference = built
    windows = reference.windows(question)
    expected = reference.all_logits(windows)
    for step in (steps.torch, steps.onnx, steps.graph):
        features = step.engine.prepare([question])
        assert [f.input_ids.tolist() for f in features] == windows["input_ids"]
        assert relative_difference(step.engine.run(features), expected) < 1e-4
        ((result,), _) = step.engine.answer([question])
        assert result.answers[0].text == reference.answer(question)
    assert len(features) > 3 or question is not LONG


def test_padding_changes_nothing(built):
    _, steps, _ = built
    for step in (steps.torch, steps.graph):
        engine = step.engine
        short = [Question("Who?", "Dutch engineers."), QUESTIONS[5]]
        features = engine.prepare([LONG])[:1] + engine.prepare(short)
        assert len({len(feature) for feature in features}) == 3
        alone = [engine.run_batch([feature])[0] for feature in features]
        assert relative_difference(engine.run_batch(features), alone) < 1e-5


def test_fp16_runs(built):
    _, steps, reference = built
    engine = steps.graph.engine
    features = engine.prepare([LONG])
    expected = engine.run(features)
    step = steps.builder.fp16(steps.graph)
    assert 0 < relative_difference(step.engine.run(features), expected) < 2e-2


@pytest.mark.parametrize("kind", sources.KINDS)
def test_physically_pruned_heads(kind, tmp_path):
    folder = sources.write(kind, tmp_path / "source", change=sources.prune)
    assert json.loads((folder / "config.json").read_text())["pruned_heads"]
    steps, reference = journey(folder, tmp_path), Reference(folder)
    assert [layer.heads for layer in steps.graph.spec.layers] == [3, 4, 2]
    features = steps.graph.engine.prepare([LONG])
    expected = reference.all_logits(reference.windows(LONG))
    assert relative_difference(steps.graph.engine.run(features), expected) < 1e-4


def fused(kind, tmp_path, target="cpu", *, allow_unfused=False, **config):
    model = sources.network(kind, vocab_size=50, **config)
    layers = layer_shapes(model.state_dict(), model.config)
    state = {n: t for n, t in model.state_dict().items() if family_of(model.config).owns(n)}
    module = build_module(state, model.config, layers)
    export(module, tmp_path / "plain.onnx", opset=18)
    expected = family_of(model.config).fused_operators(model.config, target)
    return expected, fusion.fuse(
        tmp_path / "plain.onnx",
        tmp_path / "fused.onnx",
        target=target,
        expected=expected,
        allow_unfused=allow_unfused,
    )


@pytest.mark.parametrize(
    ("activation", "operator"),
    [("gelu", "BiasGelu"), ("gelu_new", "FastGelu"), ("gelu_fast", "FastGelu"), ("relu", None)],
)
def test_activations_that_fuse(activation, operator, tmp_path):
    expected, counts = fused("bert", tmp_path, hidden_act=activation)
    assert expected == counts
    assert {name for name in counts if "Gelu" in name} == ({operator} if operator else set())


# Distances between tokens in the attention are what ONNX Runtime has no fused operator for.
UNFUSED = {"position_embedding_type": "relative_key"}


def test_a_graph_that_does_not_fuse_fails_with_the_counts(tmp_path):
    counts = "EmbedLayerNormalization 0 of 1, Attention 0 of 3, LayerNormalization 7 of 6"
    message = f"{counts}; --allow-unfused"
    with pytest.raises(GateFailed, match=message):
        fused("bert", tmp_path, **UNFUSED)
    assert not (tmp_path / "fused.onnx").exists()


def test_a_graph_that_does_not_fuse_can_be_allowed(tmp_path, caplog):
    folder = sources.write("bert", tmp_path / "source", **UNFUSED)
    steps, reference = journey(folder, tmp_path, allow_unfused=True), Reference(folder)
    assert "Attention" not in steps.graph.notes["fused operators"]
    assert "Attention 0 of 3" in caplog.text
    features = steps.graph.engine.prepare([LONG])
    expected = reference.all_logits(reference.windows(LONG))
    assert relative_difference(steps.graph.engine.run(features), expected) < 1e-4


@pytest.mark.parametrize("name", ["t5", "albert", "xlm-roberta", "mpnet"])
def test_other_families_are_refused_by_name(name):
    config = BertConfig()
    config.model_type = name
    with pytest.raises(SourceError, match=f"'{name}' is not supported; supported are bert, ele"):
        family_of(config)


def test_an_unknown_activation():
    config = BertConfig(hidden_act="nonsense")
    with pytest.raises(SourceError, match="activation 'nonsense'"):
        FAMILIES["bert"].activation_function(config)
