"""The models that are measured: the embedded checkpoint, and BERT-large's shapes at random."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from transformers import BertConfig, BertForQuestionAnswering

from optimize.evaluation.torch_session import TorchSession
from optimize.graph.quantize import Variant
from optimize.recipe import Recipe, Serving
from optimize.source import checkpoint, compaction
from optimize.source.checkpoint import TOKENIZER_FILES, Checkpoint, State
from optimize.steps import Artifact, StepBuilder
from predictor.artifact import TOKENIZER_FILE, LayerShape, read_spec
from predictor.engine import Engine
from predictor.sessions.protocol import SessionOptions
from predictor.sessions.providers import CPU, CUDA
from predictor.tokenization import FeatureTokenizer

EMBEDDED = Path(__file__).resolve().parents[2] / "demo" / "checkpoint" / "baseline"
PROVIDERS = {"cpu": CPU, "cuda": CUDA}

TORCH_FP32 = "PyTorch fp32"
TORCH_FP16 = "PyTorch fp16"
PLAIN = "ORT plain"
BOUND = "ORT IOBinding"
GRAPH = "ORT IOBinding + CUDA graph"
SYSTEMS = (TORCH_FP32, TORCH_FP16, PLAIN, BOUND, GRAPH)


@dataclass(frozen=True)
class Built:
    """A model's artifacts: as PyTorch runs it, and fused in two precisions."""

    torch: Path
    fp32: Path
    fp16: Path


@dataclass(frozen=True)
class RandomModel:
    """A BERT with random weights, pruned to the first heads and neurons of each layer.

    Attributes:
        kept: Heads and feed-forward width per layer; None for the dense model.
    """

    hidden: int
    heads: int
    feed_forward: int
    layers: int
    kept: tuple[LayerShape, ...] | None = None


def _shapes(heads: Sequence[int], widths: Sequence[int]) -> tuple[LayerShape, ...]:
    pairs = zip(heads, widths, strict=True)
    return tuple(LayerShape(heads=h, feed_forward=w) for h, w in pairs)


_LARGE = RandomModel(hidden=1024, heads=16, feed_forward=4096, layers=24)
_TINY = RandomModel(hidden=128, heads=4, feed_forward=512, layers=2)
# Kept by madlag/bert-large-uncased-wwm-squadv2-x2.63-f82.6-d16-hybrid-v1, as its authors published.
_LARGE_KEPT = _shapes(
    (7, 7, 3, 5, 4, 4, 4, 5, 7, 4, 8, 7, 9, 11, 10, 14, 14, 11, 13, 13, 12, 8, 6, 8),
    (287, 305, 428, 530, 560, 639, 704, 717, 717, 748, 619, 660)
    + (604, 695, 563, 526, 533, 523, 378, 218, 146, 76, 44, 108),
)
RANDOM_MODELS = {
    "bert-large": _LARGE,
    "bert-large-heads": replace(
        _LARGE, kept=_shapes([kept.heads for kept in _LARGE_KEPT], [_LARGE.feed_forward] * 24)
    ),
    "bert-large-compacted": replace(_LARGE, kept=_LARGE_KEPT),
    "tiny": _TINY,
    "tiny-heads": replace(_TINY, kept=_shapes((3, 1), (512, 512))),
    "tiny-compacted": replace(_TINY, kept=_shapes((3, 1), (100, 44))),
}


def build(name: str, scratch: Path, device: str) -> Built:
    """Builds a model's artifacts in a new folder of `scratch`.

    Args:
        name: `embedded`, or one of RANDOM_MODELS.
        scratch: Where to build.
        device: cpu or cuda; what the artifacts are for.
    """
    folders = build_steps(name, scratch, device, ("torch", "graph", "fp16"))
    return Built(*folders)


def build_steps(name: str, scratch: Path, device: str, steps: Sequence[str]) -> list[Path]:
    """Builds some of a model's steps, by StepBuilder's names; the folders of those, in order.

    No step is left loaded, so that the next one has the memory.
    """
    folder = scratch / name
    folder.mkdir()
    if name == "embedded":
        source = checkpoint.load(str(EMBEDDED))
    else:
        source = _random_checkpoint(name, folder)
    recipe = Recipe(
        model=str(source.folder),
        output=folder,
        target=device,
        # What the embedded checkpoint is served with.
        serving=Serving(null_score_diff_threshold=-4.0),
    )
    builder = StepBuilder(recipe, "0" * 64, folder)
    compacted = compaction.compact(source.state, source.config)
    # Made anew from the folder each time: a step that stays loaded takes the next one's memory.
    builder.torch("torch", source, compacted.state, compacted.layers, compacted.density)
    del source, compacted
    builder.onnx(Artifact.read(folder / "torch"))
    builder.graph(Artifact.read(folder / "onnx"))
    if "fp16" in steps:
        builder.fp16(Artifact.read(folder / "graph"))
    if "int8" in steps:
        builder.int8(Variant(), Artifact.read(folder / "graph"))
    return [folder / step for step in steps]


def systems(built: Built, device: str, max_batch_tokens: int) -> Iterator[tuple[str, Engine]]:
    """Loads what this device can run: fp16 on a GPU, fp32 on a CPU, each system's name first."""
    provider = PROVIDERS[device]
    yield TORCH_FP32, load_torch(built, device, "fp32", max_batch_tokens)
    folder = built.fp32
    if device == "cuda":
        folder = built.fp16
        yield TORCH_FP16, load_torch(built, device, "fp16", max_batch_tokens)
    for name in (PLAIN, BOUND, *([GRAPH] if device == "cuda" else [])):
        options = SessionOptions(
            provider,
            io_binding=name != PLAIN,
            cuda_graph=name == GRAPH,
            max_batch_tokens=max_batch_tokens,
        )
        yield name, Engine.load(folder, options=options)


def load_torch(built: Built, device: str, precision: str, max_batch_tokens: int) -> Engine:
    """PyTorch's engine, its weights converted as they are loaded."""
    spec = read_spec(built.torch).model_copy(update={"precision": precision})
    options = SessionOptions(
        provider=PROVIDERS[device],
        threads=torch.get_num_threads(),
        max_batch_tokens=max_batch_tokens,
    )
    tokenizer = FeatureTokenizer(
        built.torch / TOKENIZER_FILE,
        max_seq_length=spec.max_seq_length,
        doc_stride=spec.doc_stride,
    )
    session = TorchSession(spec, built.torch, options)
    return Engine(spec, tokenizer, session)


def _random_checkpoint(name: str, folder: Path) -> Checkpoint:
    model = RANDOM_MODELS[name]
    config = BertConfig(
        hidden_size=model.hidden,
        num_attention_heads=model.heads,
        intermediate_size=model.feed_forward,
        num_hidden_layers=model.layers,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    state: State = {
        key: tensor.detach()
        for key, tensor in BertForQuestionAnswering(config).state_dict().items()
        if not key.endswith("position_ids")
    }
    for index, kept in enumerate(model.kept or ()):
        prefix = f"bert.encoder.layer.{index}."
        head_size = model.hidden // model.heads
        state[prefix + "attention.self.value.weight"][kept.heads * head_size :] = 0
        state[prefix + "intermediate.dense.weight"][kept.feed_forward :] = 0
    source = folder / "checkpoint"
    source.mkdir()
    config.save_pretrained(source)
    for file in TOKENIZER_FILES:
        shutil.copyfile(EMBEDDED / file, source / file)
    return Checkpoint(f"{name}, random weights", None, source, config, state, sha256="")
