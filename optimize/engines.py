"""Engines of a build's steps: loaded when they are asked for, few at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from optimize import memory
from optimize.evaluation.evaluate import session_for
from predictor.artifact import MODEL_FILES, read_spec
from predictor.engine import Engine
from predictor.sessions.protocol import SessionOptions

# Of model files, int8 counted twice as it takes twice its file; others take up to 1.5 times it.
MOST_BYTES = 4 << 30


class Engines:
    """Keeps those that were asked for last, as long as their model files are not too large."""

    def __init__(self, threads: int, most_bytes: int = MOST_BYTES) -> None:
        """Takes the threads of a run, and how large the files may be together."""
        self._threads = threads
        self._most_bytes = most_bytes
        self._loaded: dict[Path, Engine] = {}

    def get(self, folder: Path, *, cuda_graph: bool) -> Engine:
        """The engine of a folder; raises StartupError where it cannot be loaded."""
        engine = self._loaded.pop(folder, None)
        if engine is None:
            kept = self._most_bytes - _size(folder)
            while self._loaded and sum(map(_size, self._loaded)) > kept:
                del self._loaded[next(iter(self._loaded))]
                memory.free()
            session = session_for(read_spec(folder).format)
            options = SessionOptions(threads=self._threads, cuda_graph=cuda_graph)
            engine = Engine.load(folder, session=session, options=options)
        self._loaded[folder] = engine
        return engine

    def release(self) -> None:
        """Lets go of all, so that the memory is another's."""
        self._loaded.clear()
        memory.free()

    def groups(self, folders: Sequence[Path]) -> list[list[Path]]:
        """Splits folders, in their order, into those that can be loaded together."""
        groups: list[list[Path]] = []
        for folder in folders:
            if not groups or sum(map(_size, [*groups[-1], folder])) > self._most_bytes:
                groups.append([])
            groups[-1].append(folder)
        return groups


def _size(folder: Path) -> int:
    spec = read_spec(folder)
    size = (folder / MODEL_FILES[spec.format]).stat().st_size
    return 2 * size if spec.precision == "int8" else size
