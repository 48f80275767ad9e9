"""Snapshots of a training, from which the same command goes on after it was killed."""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from optimize import publish
from optimize.errors import SourceError

logger = logging.getLogger("optimize")

_KEPT = 2
_NAME = re.compile(r"snapshot-(\d+)\.pt")


class Snapshots:
    """A folder of them; the last two are kept."""

    def __init__(self, folder: Path, identity: str) -> None:
        """Names the folder; it is made with the first snapshot.

        Args:
            folder: Where they are.
            identity: Hash of all that the training depends on.
        """
        self._folder = folder
        self._identity = identity

    def save(self, step: int, state: Mapping[str, Any]) -> None:
        """Writes one beside the others, whole or not at all; raises WriteError.

        Args:
            step: How many steps are done.
            state: Tensors and plain values.
        """
        path = self._folder / f"snapshot-{step}.pt"
        beside = path.with_suffix(".part")
        with publish.writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as stream:
                torch.save({"identity": self._identity, "step": step, **state}, stream)
                stream.flush()
                os.fsync(stream.fileno())
            beside.replace(path)
            for old in self._paths()[_KEPT:]:
                old.unlink()

    def latest(self) -> dict[str, Any] | None:
        """The newest one that can be read, None where there is none.

        Raises:
            SourceError: They are another training's.
        """
        for path in self._paths():
            try:
                state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
                identity = state["identity"]
            except Exception as error:  # whatever a damaged file makes torch raise
                logger.warning("%s: cannot be read (%s); trying the one before", path, error)
                continue
            if identity != self._identity:
                raise SourceError(
                    f"{self._folder} holds snapshots of another training (other weights, data or "
                    "options); remove it, or choose another --snapshots"
                )
            return state
        return None

    def remove(self) -> None:
        """Removes all of them."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _paths(self) -> list[Path]:
        """The newest first."""
        if not self._folder.is_dir():
            return []
        found = {
            int(match[1]): path
            for path in self._folder.iterdir()
            if (match := _NAME.fullmatch(path.name))
        }
        return [found[step] for step in sorted(found, reverse=True)]
