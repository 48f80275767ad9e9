"""The folder that steps are built in."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from optimize.errors import OptimizeError, WriteError, no_space


@contextmanager
def scratch(keep: Path | None) -> Iterator[Path]:
    """Yields a temporary folder, or the one to keep, which goes too where the build fails.

    Raises:
        WriteError: It cannot be made, or gets full.
    """
    folder = keep
    try:
        if keep is None:
            folder = Path(gettempdir())
            with TemporaryDirectory(prefix="optimize-", ignore_cleanup_errors=True) as temporary:
                yield Path(temporary)
        else:
            yield from _kept(keep)
    except OptimizeError:
        raise
    except Exception as error:
        if no_space(error):
            raise WriteError(f"{folder}: no space left for the steps of the build") from error
        raise


def _kept(keep: Path) -> Iterator[Path]:
    try:
        keep.mkdir(parents=True)
    except OSError as error:
        raise WriteError(f"{keep}: cannot be made for the steps ({error.strerror})") from error
    try:
        yield keep
    except BaseException:
        shutil.rmtree(keep, ignore_errors=True)
        raise
