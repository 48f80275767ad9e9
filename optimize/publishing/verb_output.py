"""The folder that a verb makes: whole at the end, or not there at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from optimize.errors import PublishError, WriteError, no_space
from optimize.publishing import publish, staging


@contextmanager
def making(folder: Path) -> Iterator[Path]:
    """Yields a folder beside the output; the one folder made in it becomes the output.

    Args:
        folder: Absent or empty.

    Raises:
        PublishError: Something is there.
        WriteError: It cannot be written; nothing is left behind.
    """
    folder = folder.resolve()
    check_free(folder)
    publish.check_writable(folder)
    staging.sweep(folder.parent)
    with ExitStack() as stack:
        with publish.writing(folder):
            beside = stack.enter_context(staging.staging(folder.parent))
            place = beside / "steps"
            place.mkdir()
        try:
            yield place
        except Exception as error:
            if no_space(error):
                raise WriteError(f"{folder}: cannot be written (No space left on device)") from None
            raise
        (made,) = place.iterdir()
        with publish.writing(folder):
            staging.settle(made)
            done = staging.rename(made, folder)
        if not done:
            check_free(folder)


def check_free(folder: Path) -> None:
    """Raises PublishError where something is."""
    try:
        taken = folder.exists() and any(folder.iterdir())
    except OSError as error:
        raise PublishError(f"{folder}: cannot be read ({error.strerror})") from error
    if taken:
        raise PublishError(f"{folder} is not empty; choose another --output")
