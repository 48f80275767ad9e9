"""The steps of a journey, each an artifact folder that the predictor's Engine can load."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from optimize import compaction, export, fusion, network, quantize
from optimize.checkpoint import TOKENIZER_FILES, Checkpoint, State
from optimize.compaction import Compacted
from optimize.evaluate import session_for
from optimize.family import family_of
from optimize.recipe import Recipe, tool_versions
from predictor.artifact import (
    CONFIG_FILE,
    MODEL_FILES,
    ArtifactSpec,
    LayerShape,
    digest,
    write_spec,
)
from predictor.engine import Engine


@dataclass(frozen=True)
class Step:
    """A built step.

    Attributes:
        folder: The artifact, its files and `artifact.json`.
        engine: Loaded from that folder.
        notes: What a reader of the report should know.
    """

    name: str
    folder: Path
    spec: ArtifactSpec
    engine: Engine
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def model_file(self) -> Path:
        """The file with the weights."""
        return self.folder / MODEL_FILES[self.spec.format]


class StepBuilder:
    """Makes the steps of one recipe in a scratch folder."""

    def __init__(self, recipe: Recipe, build_id: str, scratch: Path) -> None:
        """Takes what all steps share."""
        self._recipe = recipe
        self._build_id = build_id
        self._scratch = scratch

    def original(self, name: str, checkpoint: Checkpoint) -> Step:
        """A checkpoint as it came, run by PyTorch."""
        layers = network.layer_shapes(checkpoint.state, checkpoint.config)
        density = compaction.density(layers, checkpoint.config)
        return self.torch(name, checkpoint, checkpoint.state, layers, density)

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
        folder = self._folder(name, checkpoint)
        save_file(state, folder / MODEL_FILES["torch"])
        return self._finish(
            name, folder, checkpoint, "torch", "fp32", tuple(layers), density, notes or {}
        )

    def onnx(self, checkpoint: Checkpoint, compacted: Compacted) -> Step:
        """The exported graph, as it comes."""
        folder = self._folder("onnx", checkpoint)
        module = network.build_module(compacted.state, checkpoint.config, compacted.layers)
        export.export(module, folder / MODEL_FILES["onnx"], opset=self._recipe.opset)
        return self._finish(
            "onnx", folder, checkpoint, "onnx", "fp32", compacted.layers, compacted.density, {}
        )

    def graph(self, checkpoint: Checkpoint, before: Step) -> Step:
        """The fused graph; raises GateFailed where a layer does not fuse."""
        folder = self._folder("graph", checkpoint)
        spec = before.spec
        counts = fusion.fuse(
            before.model_file,
            folder / MODEL_FILES["onnx"],
            expected=family_of(checkpoint.config).fused_operators(checkpoint.config),
            allow_unfused=self._recipe.allow_unfused,
        )
        notes = {"fused operators": counts}
        return self._finish(
            "graph", folder, checkpoint, "onnx", "fp32", spec.layers, spec.density, notes
        )

    def reduced(self, name: str, checkpoint: Checkpoint, before: Step) -> Step:
        """The fused graph in fp16, int8, or int8 with asymmetric weights."""
        folder = self._folder(name, checkpoint)
        path = folder / MODEL_FILES["onnx"]
        precision, _, variant = name.partition("-")
        if precision == "fp16":
            fusion.to_fp16(before.model_file, path)
        else:
            quantize.to_int8(before.model_file, path, asymmetric=variant == "asymmetric")
        spec = before.spec
        return self._finish(
            name, folder, checkpoint, "onnx", precision, spec.layers, spec.density, {}
        )

    def _folder(self, name: str, checkpoint: Checkpoint) -> Path:
        folder = self._scratch / name
        folder.mkdir()
        for file in (CONFIG_FILE, *TOKENIZER_FILES):
            if (checkpoint.folder / file).is_file():
                shutil.copyfile(checkpoint.folder / file, folder / file)
        return folder

    def _finish(
        self,
        name: str,
        folder: Path,
        checkpoint: Checkpoint,
        format_: Any,
        precision: Any,
        layers: tuple[LayerShape, ...],
        density: float,
        notes: dict[str, Any],
    ) -> Step:
        recipe, config = self._recipe, checkpoint.config
        family = family_of(config)
        longest = min(512, family.longest(config), recipe.max_seq_length or 512)
        spec = ArtifactSpec(
            format=format_,
            name=recipe.name,
            version=recipe.version,
            build_id=self._build_id,
            source=checkpoint.source,
            revision=checkpoint.revision,
            precision=precision,
            target="cuda" if recipe.target == "cuda" else "cpu",
            opset=recipe.opset if format_ == "onnx" else None,
            density=density,
            layers=layers,
            inputs=family.inputs,
            pad_token_id=config.pad_token_id or 0,
            max_seq_length=longest,
            doc_stride=recipe.doc_stride,
            n_best_size=recipe.n_best_size,
            max_answer_length=recipe.max_answer_length,
            null_score_diff_threshold=recipe.null_score_diff_threshold,
            files={path.name: digest(path) for path in sorted(folder.iterdir())},
            tools=tool_versions(),
            figures={},
        )
        write_spec(folder, spec)
        engine = Engine.load(
            folder,
            session=session_for(format_),
            threads=recipe.threads,
            # Before fusion the graph computes shapes on the CPU, which no CUDA graph can hold.
            cuda_graph=name != "onnx",
        )
        return Step(name, folder, spec, engine, notes)
