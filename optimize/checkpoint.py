"""A hub id or a folder → weights, configuration and tokenizer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import AutoConfig

from optimize.errors import SourceError

State = dict[str, torch.Tensor]

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_FAMILIES = ("bert",)


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint.

    Attributes:
        source, revision: Where it came from.
        folder: The files, for copying the tokenizer.
        config: The transformers configuration.
        state: Weights as float32, under their transformers names.
        sha256: Of weights, configuration and tokenizer together.
    """

    source: str
    revision: str | None
    folder: Path
    config: Any
    state: State
    sha256: str


def load(source: str, revision: str | None = None) -> Checkpoint:
    """Loads a question answering checkpoint.

    Args:
        source: An existing folder, or a hub id.
        revision: The hub revision.

    Raises:
        SourceError: It is absent, unreachable, without tokenizer, or of another kind.
    """
    folder = Path(source)
    if not folder.is_dir():
        folder = _download(source, revision)
    for name in ("config.json", "tokenizer.json"):
        if not (folder / name).is_file():
            raise SourceError(f"{folder}: no {name}; a checkpoint needs it")
    try:
        config = AutoConfig.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise SourceError(f"{folder / 'config.json'}: {_first_line(error)}") from error
    if config.model_type not in _FAMILIES:
        raise SourceError(
            f"{source}: model type {config.model_type!r} is not supported; "
            f"supported are {', '.join(_FAMILIES)}"
        )
    weights = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
    if weights is None:
        raise SourceError(f"{folder}: neither {' nor '.join(_WEIGHTS)}")
    state = {
        name: tensor.float()
        for name, tensor in _read(weights).items()
        if not name.endswith("position_ids")
    }
    if "qa_outputs.weight" not in state:
        raise SourceError(f"{source}: no question answering head (qa_outputs) in {weights.name}")
    return Checkpoint(
        source=folder.name if Path(source).is_dir() else source,
        revision=revision,
        folder=folder,
        config=config,
        state=state,
        sha256=_digest(
            weights, *(p for n in ("config.json", *TOKENIZER_FILES) if (p := folder / n).is_file())
        ),
    )


def _read(path: Path) -> State:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state: State = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors share no error, and pickle has its own
        raise SourceError(f"{path}: cannot be read: {_first_line(error)}") from error
    return state


def _download(source: str, revision: str | None) -> Path:
    # A path that does not exist, rather than a hub id: `name` or `owner/name`.
    if source.startswith((".", "/", "~")) or source.count("/") > 1:
        raise SourceError(f"model folder {source} does not exist")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        patterns = ["*.json", "*.txt", *_WEIGHTS]
        return Path(snapshot_download(source, revision=revision, allow_patterns=patterns))
    except HFValidationError as error:
        raise SourceError(f"{source} is neither a folder nor a hub id") from error
    except Exception as error:  # the hub client raises whatever its HTTP stack raises
        raise SourceError(
            f"{source} is no folder here, and the hub gave no such model: {_first_line(error)}"
        ) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _digest(*paths: Path) -> str:
    whole = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            whole.update(hashlib.file_digest(stream, "sha256").digest())
    return whole.hexdigest()
