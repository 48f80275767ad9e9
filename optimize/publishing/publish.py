"""Atomic, versioned, idempotent publication at `<root>/<name>/<version>/`."""

from __future__ import annotations

import logging
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from optimize.errors import PublishError, WriteError
from optimize.publishing import staging
from predictor.artifact import ArtifactSpec, read_spec, verify, write_spec
from predictor.errors import ArtifactError

logger = logging.getLogger("optimize")

REPOSITORY = "triton"
"""The folder beside the artifacts that is Triton's model repository."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def target(root: Path, name: str, version: int) -> Path:
    """Where a version is published."""
    return root / name / str(version)


def check_name(name: str) -> None:
    """Raises PublishError for a name that is no folder's, leads elsewhere or is taken."""
    if not _NAME.fullmatch(name):
        raise PublishError(f"name {name!r} must be of letters, digits, '-', '_' and '.'")
    if name == REPOSITORY:
        raise PublishError(f"name {name!r} is that of the Triton model repository")


def check_writable(folder: Path) -> None:
    """Finds out whether a folder can be made, before hours are spent on what goes into it.

    Raises:
        WriteError: Nothing can be written there, or an empty folder there cannot be replaced.
    """
    with writing(folder):
        nearest = next(parent for parent in folder.absolute().parents if parent.exists())
        with tempfile.TemporaryFile(dir=nearest):
            pass
        if folder.is_dir() and not any(folder.iterdir()):
            # A mount, or a root's folder in a sticky one, shows only when it is replaced.
            with staging.staging(folder.parent) as beside:
                empty = beside / folder.name
                empty.mkdir()
                staging.rename(empty, folder)


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


@contextmanager
def prepared(
    source: Path, spec: ArtifactSpec, folder: Path, reports: Mapping[str, str]
) -> Iterator[Callable[[], None]]:
    """Copies a built artifact beside its target; the function it yields makes it appear there.

    Whoever else publishes there, one build wins; it is no error where that is this very build.

    Args:
        source: The folder that holds the files of the spec.
        spec: Written as `artifact.json`.
        folder: The target; absent, empty, or this very build's.
        reports: Further files, name → text.

    Raises:
        PublishError: Another build is there.
        WriteError: It cannot be written; nothing is left behind.
    """
    staging.sweep(folder.parent)
    if published(folder, spec.build_id):
        yield lambda: None
        return
    with ExitStack() as stack:
        with writing(folder):
            staged = stack.enter_context(staging.staging(folder.parent)) / folder.name
            staged.mkdir()
            for name in spec.files:
                shutil.copyfile(source / name, staged / name)
            for name, text in reports.items():
                (staged / name).write_text(text, encoding="utf-8")
            write_spec(staged, spec)
            verify(staged, spec)
            staging.settle(staged)
        yield lambda: _appear(staged, folder, spec.build_id)


def _appear(staged: Path, folder: Path, build_id: str) -> None:
    with writing(folder):
        done = staging.rename(staged, folder)
    if done:
        logger.info("published %s", folder)
    elif not published(folder, build_id):
        raise WriteError(f"{folder}: another publisher's version came and went")


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turns what goes wrong while `folder` is written into a WriteError."""
    try:
        yield
    except OSError as error:
        raise WriteError(f"{folder}: cannot be written ({error.strerror})") from error
    except ArtifactError as error:
        raise WriteError(f"{folder}: cannot be written: {error}") from error
