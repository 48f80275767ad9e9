"""A hub id or a folder → weights, configuration and tokenizer."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import AutoConfig

from optimize.errors import SourceError, first_line
from optimize.source import hub
from optimize.source.family import QA_HEAD, Family, family_of

logger = logging.getLogger("optimize")

State = dict[str, torch.Tensor]

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
# As checkpoints of before 2019 name the scale and the shift of a LayerNorm.
_OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint.

    Attributes:
        source: The hub id, or the folder's name.
        revision: The hub's commit, or what was asked for with a folder.
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
        revision: The hub revision: branch, tag or commit.

    Raises:
        SourceError: It is absent, unreachable, without tokenizer, or of another kind.
    """
    folder = Path(source)
    local = folder.is_dir()
    if local:
        source = folder.name or folder.resolve().name
    else:
        folder, revision = hub.download(source, revision, _WEIGHTS)
    for name in ("config.json", "tokenizer.json"):
        if not (folder / name).is_file():
            raise SourceError(f"{folder}: no {name}; a checkpoint needs it")
    config = read_config(folder)
    try:
        family = family_of(config)
    except SourceError as error:
        raise SourceError(f"{source}: {error}") from error
    files = _weight_files(folder)
    state = _state(files, family)
    if f"{QA_HEAD}.weight" not in state:
        raise SourceError(f"{source}: no question answering head ({QA_HEAD}) in {files[0].name}")
    described = (folder / name for name in ("config.json", *TOKENIZER_FILES))
    return Checkpoint(
        source=source,
        revision=revision,
        folder=folder,
        config=config,
        state=state,
        sha256=_digest(*files, *(path for path in described if path.is_file())),
    )


def read_config(folder: Path) -> Any:
    """The transformers configuration of a folder; raises SourceError where there is none."""
    try:
        return AutoConfig.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise SourceError(f"{folder / 'config.json'}: {first_line(error)}") from error


def _weight_files(folder: Path) -> list[Path]:
    """The file with the weights, or the files that an index names, in order."""
    for name in _WEIGHTS:
        if (folder / name).is_file():
            return [folder / name]
        index = folder / f"{name}.index.json"
        if index.is_file():
            try:
                names = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise SourceError(f"{index}: not an index of weights") from error
            for part in names:
                if Path(part).name != part or not (folder / part).is_file():
                    raise SourceError(f"{index}: names {part}, which is not there")
            return [folder / part for part in names]
    raise SourceError(f"{folder}: neither {' nor '.join(_WEIGHTS)}, nor an index of either")


def _state(files: Sequence[Path], family: Family) -> State:
    """All weights that question answering uses, each with memory of its own."""
    state: State = {}
    others = []
    for path in files:
        for given, tensor in _read(path).items():
            old = next((old for old in _OLD_NAMES if given.endswith(old)), None)
            name = given.removesuffix(old) + _OLD_NAMES[old] if old else given
            if family.owns(name):
                state[name] = tensor.to(torch.float32).clone(memory_format=torch.contiguous_format)
            else:
                others.append(name)
    if others:
        logger.info("weights that question answering does not use: %s", ", ".join(others))
    return state


def _read(path: Path) -> State:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state: State = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors share no error, and pickle has its own
        raise SourceError(f"{path}: cannot be read: {first_line(error)}") from error
    return state


def _digest(*paths: Path) -> str:
    whole = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            whole.update(hashlib.file_digest(stream, "sha256").digest())
    return whole.hexdigest()
