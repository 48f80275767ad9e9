"""Atomic, versioned, idempotent publication at `<root>/<name>/<version>/`."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from optimize.errors import PublishError
from predictor.artifact import SPEC_FILE, ArtifactSpec, read_spec, verify, write_spec
from predictor.errors import ArtifactError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def target(root: Path, name: str, version: int) -> Path:
    """Where a version is published."""
    return root / name / str(version)


def check_name(name: str) -> None:
    """Raises PublishError for a name that is no folder's, or leads elsewhere."""
    if not _NAME.fullmatch(name):
        raise PublishError(f"name {name!r} must be of letters, digits, '-', '_' and '.'")


def check_writable(root: Path) -> None:
    """Raises PublishError where nothing can be written, before hours are spent on a build."""
    nearest = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise PublishError(f"{root}: cannot be written ({error.strerror})") from error


def published(folder: Path, build_id: str) -> bool:
    """Whether this very build is there, whole; an empty folder counts as nothing.

    Raises:
        PublishError: Something else is there, or it is damaged.
    """
    try:
        if not folder.exists() or not any(folder.iterdir()):
            return False
    except OSError as error:
        raise PublishError(f"{folder}: cannot be read ({error.strerror})") from error
    try:
        spec = read_spec(folder)
    except ArtifactError as error:
        raise PublishError(f"{folder} holds something else: {error}") from error
    if spec.build_id != build_id:
        raise PublishError(
            f"{folder} holds another build ({spec.build_id[:12]}, this one is {build_id[:12]}); "
            "a published version never changes: choose another --version"
        )
    try:
        verify(folder, spec)
    except ArtifactError as error:
        raise PublishError(f"{error}; remove {folder} to build it again") from error
    return True


def publish(source: Path, spec: ArtifactSpec, folder: Path, reports: Mapping[str, str]) -> None:
    """Copies a built artifact beside its target and renames it there.

    Args:
        source: The folder that holds the files of the spec.
        spec: Written as `artifact.json`.
        folder: The target; absent or empty.
        reports: Further files, name → text.

    Raises:
        PublishError: It cannot be written; nothing is left behind.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # In containers process ids repeat: the name must be one that no other build can have.
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
    except OSError as error:
        raise PublishError(f"{folder}: cannot be written ({error.strerror})") from error
    try:
        beside.chmod(0o755)
        for name in spec.files:
            shutil.copyfile(source / name, beside / name)
        for name, text in reports.items():
            (beside / name).write_text(text, encoding="utf-8")
        write_spec(beside, spec)
        for path in (*beside.iterdir(), beside):
            _sync(path)
        os.rename(beside, folder)
        _sync(folder.parent)
    except OSError as error:
        raise PublishError(f"{folder}: cannot be written ({error.strerror})") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    if not (folder / SPEC_FILE).is_file():
        raise PublishError(f"{folder}: was written but is not there")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
