"""Snapshots of a training, from which the same command goes on after it was killed."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from optimize.errors import PublishError, SourceError, WriteError
from optimize.publishing import publish

logger = logging.getLogger("optimize")

_KEPT = 2
# The hash is of the file: nothing else tells a damaged tensor from a whole one.
_NAME = re.compile(r"snapshot-(\d+)-([0-9a-f]{16})\.pt")


class Snapshots:
    """A folder of them; the last two are kept."""

    def __init__(self, folder: Path, identity: str) -> None:
        """Names the folder.

        Args:
            folder: Where they are.
            identity: Hash of all that the training depends on.
        """
        self.folder = folder
        self._identity = identity

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Makes the folder, and keeps other processes from training on it meanwhile.

        Raises:
            WriteError: It cannot be made, or written to.
            PublishError: Another process is training on it.
        """
        with publish.writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.folder, os.O_RDONLY)
        try:
            self._lock(lock)
            with publish.writing(self.folder):
                for left in self.folder.glob("*.part"):
                    left.unlink()
                with tempfile.TemporaryFile(dir=self.folder):
                    pass
            try:
                yield
            finally:
                with suppress(OSError):
                    self.folder.rmdir()  # Where nothing is in it.
        finally:
            os.close(lock)

    def _lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                return  # No locks on this file system.
            raise PublishError(
                f"another process is training on {self.folder}; choose another --snapshots"
            ) from error

    def save(self, step: int, state: Mapping[str, Any]) -> None:
        """Writes one beside the others, whole or not at all.

        Args:
            step: How many steps are done.
            state: Tensors and plain values.

        Raises:
            WriteError: It cannot be written; those before it are still there.
        """
        beside = self.folder / f"snapshot-{step}.part"
        try:
            with publish.writing(self.folder):
                self._write(beside, {"identity": self._identity, "step": step, **state})
                beside.replace(self.folder / f"snapshot-{step}-{_hash(beside)}.pt")
                _sync(self.folder)
                for old in self._paths()[_KEPT:]:
                    old.unlink()
        except WriteError:
            with suppress(OSError):
                beside.unlink()
            raise

    def _write(self, path: Path, content: Mapping[str, Any]) -> None:
        with path.open("wb") as stream:
            try:
                torch.save(content, stream)
            except RuntimeError as error:
                # torch's writer stumbles over what the stream raised, and says only that.
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from error
                raise
            stream.flush()
            os.fsync(stream.fileno())

    def latest(self) -> dict[str, Any] | None:
        """The newest one that is whole, None where there is none.

        Raises:
            SourceError: They are another training's.
        """
        for path in self._paths():
            try:
                if not path.stem.endswith(_hash(path)):
                    raise ValueError("its content has changed")
                state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
                identity = state["identity"]
            except Exception as error:  # whatever a damaged file makes torch raise
                logger.warning("%s: cannot be read (%s); trying the one before", path, error)
                continue
            if identity != self._identity:
                raise SourceError(
                    f"{self.folder} holds snapshots of another training (other weights, data or "
                    "options); remove it, or choose another --snapshots"
                )
            return state
        return None

    def remove(self) -> None:
        """Removes all of them."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _paths(self) -> list[Path]:
        """The newest first."""
        if not self.folder.is_dir():
            return []
        found = {
            int(match[1]): path
            for path in self.folder.iterdir()
            if (match := _NAME.fullmatch(path.name))
        }
        return [found[step] for step in sorted(found, reverse=True)]


def _hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
