"""The Hugging Face hub: id and revision → a local folder, or one line that says why not.

The client reads its own environment: HF_TOKEN for private and gated models, HF_HUB_OFFLINE,
HF_ENDPOINT, HF_HOME for the cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from optimize.errors import SourceError, first_line

_DESCRIPTION = ("*.json", "*.txt")


def download(source: str, revision: str | None, weights: Sequence[str]) -> tuple[Path, str]:
    """Downloads a model, or finds it in the cache.

    Args:
        source: The hub id, `name` or `owner/name`.
        revision: Branch, tag or commit; None for the default branch.
        weights: Names of the weights, best first; only the first kind that there is comes.

    Returns:
        The folder and the commit.

    Raises:
        SourceError: It is no hub id, or the hub cannot be reached or does not give it.
    """
    # A path that does not exist, rather than a hub id.
    if source.startswith((".", "/", "~")) or source.count("/") > 1:
        raise SourceError(f"model folder {source} does not exist")
    at = f"{source} at {revision}" if revision else source
    try:
        folder = _snapshot(source, revision, _DESCRIPTION)
        # The commit from here on, or a push in between would mix two models.
        for name in weights:
            stem, _, suffix = name.rpartition(".")
            _snapshot(source, folder.name, (name, f"{stem}-*-of-*.{suffix}"))
            if (folder / name).is_file() or (folder / f"{name}.index.json").is_file():
                break
    except HFValidationError as error:
        raise SourceError(f"{source} is neither a folder nor a hub id") from error
    except GatedRepoError as error:
        raise SourceError(f"{source} is gated: accept its terms, and set HF_TOKEN") from error
    except RevisionNotFoundError as error:
        raise SourceError(f"{source} has no revision {revision}") from error
    except RepositoryNotFoundError as error:
        raise SourceError(
            f"{source} is no folder here, and no model of the hub that this HF_TOKEN may read"
        ) from error
    except LocalEntryNotFoundError as error:
        offline = " (HF_HUB_OFFLINE is set)" if constants.HF_HUB_OFFLINE else ""
        raise SourceError(
            f"{at} is no folder here and not in the cache, and the hub cannot be reached at "
            f"{constants.ENDPOINT}{offline}"
        ) from error
    except HfHubHTTPError as error:
        raise SourceError(f"{at}: the hub refused it: {first_line(error)}") from error
    except Exception as error:  # the client raises whatever its HTTP stack and the disk raise
        raise SourceError(f"{at}: cannot be downloaded: {first_line(error)}") from error
    return folder, folder.name


def _snapshot(source: str, revision: str | None, patterns: Sequence[str]) -> Path:
    return Path(snapshot_download(source, revision=revision, allow_patterns=list(patterns)))
