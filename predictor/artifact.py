"""The model folder and its `artifact.json`: optimize writes it, predictor verifies and loads it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationError,
    model_serializer,
)

from predictor.errors import ArtifactError

SCHEMA_VERSION: Literal[2] = 2
SPEC_FILE = "artifact.json"
MODEL_FILES = {"onnx": "model.onnx", "torch": "model.safetensors"}
TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILE = "config.json"

FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class FileDigest(_Frozen):
    """Size in bytes and SHA-256 of a file that the predictor loads."""

    size: int = Field(ge=0)
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class LayerShape(_Frozen):
    """What compaction left of one encoder layer: attention heads and feed-forward width."""

    heads: int = Field(ge=1)
    feed_forward: int = Field(ge=1)


class ArtifactSpec(_Frozen):
    """The contents of `artifact.json`.

    Attributes:
        schema_version: 2; in 1, int8's symmetric weights have 8 bits, and there are neither
            instruction_sets nor activation_ranges.
        format: `onnx` (model.onnx) or `torch` (model.safetensors).
        name, version: As published, `<root>/<name>/<version>/`.
        build_id: Hash of weights, recipe and tool versions; equal builds have equal ids.
        source, revision: Hub id or folder name the weights came from, and its revision.
        precision: fp32, fp16 or int8.       target: cpu or cuda.
        opset: ONNX opset, None for torch.   density: share of the encoder's linear weights kept.
        layers: Kept heads and feed-forward width of every layer.
        inputs: Model inputs in order, each int64 (batch, seq).
        max_seq_length, doc_stride, n_best_size, max_answer_length: In tokens (n-best: spans).
        null_score_diff_threshold: None means that there is always an answer.
        instruction_sets: Those of the CPU that the gates ran on, which decide how it multiplies
            integers; None where nothing does so on a CPU, or it is not known.
        activation_ranges: Of int8: dynamic, each run's own, or static, calibrated, with which a
            row's logits do not depend on the other rows of its run; None where there are none.
        files: Every file that the predictor loads.
        tools: Package versions that made it.
        figures: Measured figures (EM, F1, size, latency), for people and dashboards.
    """

    schema_version: Literal[1, 2] = SCHEMA_VERSION
    format: Literal["onnx", "torch"]
    name: str = Field(min_length=1)
    version: int = Field(ge=1)
    build_id: str
    source: str
    revision: str | None = None
    precision: Literal["fp32", "fp16", "int8"]
    target: Literal["cpu", "cuda"]
    opset: int | None = None
    density: float = Field(gt=0, le=1)
    layers: tuple[LayerShape, ...]
    inputs: tuple[Literal["input_ids", "attention_mask", "token_type_ids"], ...]
    pad_token_id: int = Field(ge=0)
    max_seq_length: int = Field(ge=8)
    doc_stride: int = Field(ge=0)
    n_best_size: int = Field(ge=1)
    max_answer_length: int = Field(ge=1)
    null_score_diff_threshold: float | None
    instruction_sets: tuple[str, ...] | None = None
    activation_ranges: Literal["dynamic", "static"] | None = None
    files: dict[FileName, FileDigest]
    tools: dict[str, str]
    figures: dict[str, Any]

    @model_serializer(mode="wrap")
    def _as_of_its_schema(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what its version does not know, so that what reads that version reads it."""
        fields: dict[str, Any] = handler(self)
        if self.schema_version == 1:
            for name in ("instruction_sets", "activation_ranges"):
                fields.pop(name, None)
        return fields


def digest(path: Path) -> FileDigest:
    """Size and SHA-256 of a file."""
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return FileDigest(size=path.stat().st_size, sha256=sha256)


def write_spec(folder: Path, spec: ArtifactSpec) -> None:
    """Writes `artifact.json`; the caller publishes the folder atomically."""
    (folder / SPEC_FILE).write_text(spec.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_spec(folder: Path) -> ArtifactSpec:
    """Reads and checks `artifact.json`.

    Raises:
        ArtifactError: No such folder or file, a newer or foreign schema, a bad or missing field.
    """
    if _is_absent(folder):
        raise ArtifactError(f"{folder}: no artifact there yet; is the optimize job done?")
    path = folder / SPEC_FILE
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ArtifactError(
            f"{path}: cannot be read ({error.strerror}); "
            "is the artifact published, and is this its version folder?"
        ) from error
    try:
        return ArtifactSpec.model_validate_json(raw)
    except ValidationError as error:
        raise ArtifactError(f"{path}: {_first_problem(error)}") from error


def verify(folder: Path, spec: ArtifactSpec) -> None:
    """Checks that every file is present with the size and checksum that the spec promises.

    Raises:
        ArtifactError: Names the first file that is absent or differs.
    """
    for required in (MODEL_FILES[spec.format], TOKENIZER_FILE):
        if required not in spec.files:
            raise ArtifactError(f"{folder / SPEC_FILE}: lists no {required}")
    for name, expected in spec.files.items():
        path = folder / name
        try:
            found = digest(path)
        except OSError as error:
            raise ArtifactError(f"{path}: cannot be read ({error.strerror})") from error
        if found.size != expected.size:
            raise ArtifactError(
                f"{path}: {found.size} bytes, {expected.size} expected; the artifact is damaged"
            )
        if found.sha256 != expected.sha256:
            raise ArtifactError(f"{path}: wrong checksum; the artifact is damaged")


def load_spec(folder: Path) -> ArtifactSpec:
    """Reads the spec and verifies the folder against it; raises ArtifactError."""
    spec = read_spec(folder)
    verify(folder, spec)
    return spec


def _is_absent(folder: Path) -> bool:
    """Whether nothing is there; a pod that mounts the folder too early leaves it empty."""
    try:
        return not any(folder.iterdir())
    except FileNotFoundError:
        return True
    except OSError as error:
        raise ArtifactError(f"{folder}: cannot be read ({error.strerror})") from error


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=True)[0]
    where = ".".join(str(part) for part in problem["loc"])
    if where == "schema_version":
        return (
            f"schema version {problem['input']!r} is not understood; "
            f"this predictor reads versions 1 to {SCHEMA_VERSION}"
        )
    return f"{where}: {problem['msg']}" if where else str(problem["msg"])
