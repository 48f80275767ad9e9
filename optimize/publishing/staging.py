"""Folders that publishers fill beside their targets: the lock of each, and the rename at the end.

A folder has a lock file that its publisher holds until it ends, however it ends. Process ids would
not do on a volume that pods share: they repeat between containers, and a node cannot ask whether
another's process lives. A `flock` belongs to an open file, whoever opened it: the kernel drops it
with a killed process, NFS passes it on to the server, which drops it when a dead node's lease ends
(NFSv3: when the node is back). Where locks do not reach other nodes (`nolock`), a live publisher
may lose its folder and fail; as a folder is renamed before it is emptied, nothing half is ever
published. Nobody waits for a lock: a publisher that hangs hinders no other.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = ".publishing-"
_LOCK = "lock"


@contextmanager
def staging(parent: Path) -> Iterator[Path]:
    """Yields a folder of this process's own in `parent`, gone at the end like parents made for it.

    What is to be published goes into a folder inside: the lock file never moves.

    Raises:
        OSError: It cannot be made.
    """
    missing = [place for place in (parent, *parent.parents) if not place.exists()]
    folder, lock = _new_name(parent), None
    try:
        while (lock := _make(folder)) is None:
            folder = _new_name(parent)
        yield folder
    finally:
        # On NFS an open file's folder cannot be removed.
        if lock is not None:
            os.close(lock)
        shutil.rmtree(folder, ignore_errors=True)
        for place in missing:
            with suppress(OSError):
                place.rmdir()


def sweep(parent: Path) -> None:
    """Removes what dead publishers left in `parent`, as far as it can be removed."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            lock = _open_lock(folder)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                folder = folder.rename(_new_name(parent))
            finally:
                os.close(lock)
            shutil.rmtree(folder, ignore_errors=True)


def settle(staged: Path) -> None:
    """Waits until all of a folder is on the disk; raises OSError."""
    for path in (*staged.rglob("*"), staged):
        _sync(path)


def rename(staged: Path, folder: Path) -> bool:
    """Gives a settled folder its final name.

    Args:
        folder: Absent or empty: a pod that mounts it too early makes it so.

    Returns:
        False where another publisher was faster.

    Raises:
        OSError: It cannot be written.
    """
    try:
        os.rename(staged, folder)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        if error.errno in (errno.EACCES, errno.EPERM, errno.EBUSY) and folder.exists():
            text = f"the empty folder there cannot be replaced: {error.strerror}"
            raise OSError(error.errno, text) from error
        raise
    for parent in (folder.parent, folder.parent.parent):
        _sync(parent)
    return True


def _make(folder: Path) -> int | None:
    """Makes a folder; the descriptor that holds its lock, None where it was swept before that."""
    folder.mkdir(parents=True)
    try:
        lock = _open_lock(folder)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    except OSError:
        return lock  # No locks on this file system: then nobody sweeps either.
    if (folder / _LOCK).exists():
        return lock
    os.close(lock)
    return None


def _new_name(parent: Path) -> Path:
    return parent / f"{_PREFIX}{secrets.token_hex(8)}"


def _open_lock(folder: Path) -> int:
    return os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
