"""The steps of a journey, each an artifact folder that the predictor's Engine can load."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from optimize.data.squad import Example
from optimize.engines import Engines
from optimize.errors import SourceError
from optimize.evaluation import parity
from optimize.graph import calibration, export, fp16, fusion, quantize, sensitivity
from optimize.graph.calibration import Ranges
from optimize.graph.quantize import Variant
from optimize.recipe import Recipe, Serving, content_id, tool_versions
from optimize.source import assembly, compaction
from optimize.source.checkpoint import TOKENIZER_FILES, Checkpoint, State, read_config
from optimize.source.compaction import Compacted
from optimize.source.family import family_of
from predictor.artifact import (
    CONFIG_FILE,
    MODEL_FILES,
    SCHEMA_VERSION,
    ArtifactSpec,
    LayerShape,
    digest,
    load_spec,
    write_spec,
)
from predictor.engine import Engine
from predictor.sessions import instructions
from predictor.types import Question

# Rows of a batch in which fp16's range is looked for: some are padded, as in service.
_ROWS = 4


@dataclass(frozen=True)
class Artifact:
    """A folder of a model's files and `artifact.json`, whoever made it."""

    folder: Path
    spec: ArtifactSpec

    @classmethod
    def read(cls, folder: Path) -> Artifact:
        """Reads and verifies a folder; raises ArtifactError."""
        return cls(folder, load_spec(folder))

    @property
    def model_file(self) -> Path:
        """The file with the weights."""
        return self.folder / MODEL_FILES[self.spec.format]


@dataclass(frozen=True)
class Step(Artifact):
    """A built step.

    Attributes:
        notes: What a reader of the report should know.
        engines: Where its engine is, or will be.
    """

    name: str
    notes: dict[str, Any]
    engines: Engines

    def at(self, threshold: float | None) -> Step:
        """The same step, served at another null threshold; its engine answers at it at once."""
        spec = self.spec.model_copy(update={"null_score_diff_threshold": threshold})
        self.engine.spec = spec
        write_spec(self.folder, spec)
        return replace(self, spec=spec)

    @property
    def engine(self) -> Engine:
        """Loaded from its folder, when it is asked for; raises StartupError."""
        # Before fusion the graph computes shapes on the CPU, which no CUDA graph can hold.
        return self.engines.get(self.folder, cuda_graph=self.name != "onnx")


class StepEngines(Mapping[str, Engine]):
    """Engines by the names of their steps."""

    def __init__(self, steps: Sequence[Step]) -> None:
        """Takes the steps of one builder."""
        self._steps = {step.name: step for step in steps}

    def __getitem__(self, name: str) -> Engine:
        return self._steps[name].engine

    def __iter__(self) -> Iterator[str]:
        return iter(self._steps)

    def __len__(self) -> int:
        return len(self._steps)

    def groups(self, names: Sequence[str]) -> list[list[str]]:
        """Splits names, in their order, into those whose engines can be loaded together."""
        of = {self._steps[name].folder: name for name in names}
        engines = self._steps[names[0]].engines
        return [[of[folder] for folder in group] for group in engines.groups(list(of))]


class StepBuilder:
    """Makes the steps of one recipe in a scratch folder.

    A checkpoint's own steps take from the recipe how they are to be served; each later step has it
    from the artifact it is made of.
    """

    def __init__(
        self,
        recipe: Recipe,
        build_id: str | None,
        scratch: Path,
        questions: Sequence[Question] = parity.QUESTIONS,
    ) -> None:
        """Takes what all steps share.

        Args:
            recipe: The build's.
            build_id: None where each step is known by its contents.
            scratch: Where to make the steps' folders.
            questions: On which values must stay in the range of fp16.
        """
        self._recipe = recipe
        self._build_id = build_id
        self._scratch = scratch
        self._questions = questions
        self._engines = Engines(recipe.measurement.threads)

    def original(self, name: str, checkpoint: Checkpoint) -> Step:
        """A checkpoint as it came, run by PyTorch."""
        layers = assembly.layer_shapes(checkpoint.state, checkpoint.config)
        density = compaction.density(layers, checkpoint.config)
        return self.torch(name, checkpoint, checkpoint.state, layers, density)

    def pruned(
        self, checkpoint: Checkpoint, compacted: Compacted, notes: dict[str, Any] | None = None
    ) -> Step:
        """What compaction left of a checkpoint, run by PyTorch; by default with its own notes."""
        return self.torch(
            "pruned",
            checkpoint,
            compacted.state,
            compacted.layers,
            compacted.density,
            compacted.notes if notes is None else notes,
        )

    def torch(
        self,
        name: str,
        checkpoint: Checkpoint,
        state: State,
        layers: Sequence[LayerShape],
        density: float,
        notes: dict[str, Any] | None = None,
    ) -> Step:
        """A step that PyTorch runs."""
        recipe, serving, config = self._recipe, self._recipe.serving, checkpoint.config
        family = family_of(config)
        folder = self._folder(name, checkpoint.folder)
        stored = _halved(state) if recipe.half else state
        # Older versions of transformers load no file that does not name its framework.
        save_file(stored, folder / MODEL_FILES["torch"], metadata={"format": "pt"})
        spec = ArtifactSpec(
            format="torch",
            name=recipe.name,
            version=recipe.version,
            build_id=self._build_id or "",
            source=checkpoint.source,
            revision=checkpoint.revision,
            precision="fp32",
            target="cuda" if recipe.target == "cuda" else "cpu",
            density=density,
            layers=tuple(layers),
            inputs=family.inputs,
            pad_token_id=config.pad_token_id or 0,
            max_seq_length=min(512, family.longest(config), serving.max_seq_length or 512),
            doc_stride=serving.doc_stride,
            n_best_size=serving.n_best_size,
            max_answer_length=serving.max_answer_length,
            null_score_diff_threshold=_threshold(serving),
            files={},
            tools={},
            figures={},
        )
        return self._finish(name, folder, spec, notes)

    def onnx(self, before: Artifact) -> Step:
        """The exported graph of a PyTorch artifact, as it comes."""
        folder = self._folder("onnx", before.folder)
        state = {n: w.float() for n, w in load_file(before.model_file).items()}
        module = assembly.build_module(state, read_config(before.folder), before.spec.layers)
        export.export(module, folder / MODEL_FILES["onnx"], opset=self._recipe.opset)
        changes = {"format": "onnx", "opset": self._recipe.opset}
        return self._finish("onnx", folder, before.spec.model_copy(update=changes))

    def graph(self, before: Artifact) -> Step:
        """The fused graph; raises GateFailed where a layer does not fuse."""
        folder = self._folder("graph", before.folder)
        config, target = read_config(before.folder), before.spec.target
        counts = fusion.fuse(
            before.model_file,
            folder / MODEL_FILES["onnx"],
            target=target,
            expected=family_of(config).fused_operators(config, target),
            allow_unfused=self._recipe.allow_unfused,
        )
        return self._finish("graph", folder, before.spec, {"fused operators": counts})

    def fp16(self, before: Artifact) -> Step:
        """The fused graph in fp16, but for the nodes whose values leave its range."""
        folder = self._folder("fp16", before.folder)
        batches = calibration.batches(before.folder, before.spec, self._questions, rows=_ROWS)
        notes = fp16.to_fp16(before.model_file, folder / MODEL_FILES["onnx"], list(batches))
        spec = before.spec.model_copy(update={"precision": "fp16"})
        return self._finish("fp16", folder, spec, notes)

    def int8(self, variant: Variant, before: Artifact, ranges: Ranges | None = None) -> Step:
        """The fused graph in int8; a static variant takes the ranges of its activations."""
        folder = self._folder(variant.name, before.folder)
        quantize.to_int8(before.model_file, folder / MODEL_FILES["onnx"], variant, ranges)
        ranges_of = "static" if variant.static else "dynamic"
        changes = {"precision": "int8", "activation_ranges": ranges_of}
        spec = before.spec.model_copy(update=changes)
        return self._finish(variant.name, folder, spec, {"fp32": variant.kept})

    def ranges(self, graph: Artifact, examples: Sequence[Example]) -> Ranges:
        """The ranges of a fused fp32 graph's activations on these questions."""
        self._engines.release()
        questions = [Question(example.question, example.context) for example in examples]
        batches = calibration.batches(graph.folder, graph.spec, questions)
        return calibration.ranges(graph.model_file, batches, self._recipe.calibration)

    def costliest(self, graph: Artifact, examples: Sequence[Example]) -> list[str]:
        """The products of a fused fp32 graph, the one that int8 costs most first."""
        self._engines.release()
        questions = [Question(example.question, example.context) for example in examples]
        batches = calibration.batches(graph.folder, graph.spec, questions)
        return sensitivity.costliest(sensitivity.errors(graph.model_file, batches))

    def _folder(self, name: str, source: Path) -> Path:
        """A new folder with what is not the model; whoever makes the model has the memory."""
        self._engines.release()
        folder = self._scratch / name
        folder.mkdir()
        for file in (CONFIG_FILE, *TOKENIZER_FILES):
            if (source / file).is_file():
                shutil.copyfile(source / file, folder / file)
        return folder

    def _finish(
        self, name: str, folder: Path, spec: ArtifactSpec, notes: dict[str, Any] | None = None
    ) -> Step:
        files = {path.name: digest(path) for path in sorted(folder.iterdir())}
        on_cpu = spec.format == "onnx" and spec.target == "cpu"
        changes = {
            "schema_version": SCHEMA_VERSION,
            "instruction_sets": instructions.detected() if on_cpu else None,
            "files": files,
            "tools": tool_versions(),
            "figures": {},
        }
        spec = spec.model_copy(update=changes)
        spec = spec.model_copy(update={"build_id": self._build_id or content_id(spec)})
        write_spec(folder, spec)
        return Step(folder, spec, name, notes or {}, self._engines)


def _threshold(serving: Serving) -> float | None:
    """What a step is served at until one is chosen for it."""
    asked = serving.null_score_diff_threshold
    return 0.0 if isinstance(asked, str) else asked


def _halved(state: State) -> State:
    """Weights rounded to half precision; raises SourceError where one is too large for it."""
    halved = {name: weight.half() for name, weight in state.items()}
    for name, weight in halved.items():
        if not weight.isfinite().all():
            raise SourceError(f"{name} is too large for half precision: leave out --half")
    return halved
