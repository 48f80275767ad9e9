"""What REST and gRPC have in common where they refuse: the text, and its line in the log."""

from __future__ import annotations

import logging

from predictor.errors import PredictorError

logger = logging.getLogger(__name__)

# gRPC carries it in a header, up to twelve bytes a character; clients take 8 KiB of headers.
_LONGEST_TEXT = 500


def refusal_text(error: PredictorError) -> str:
    """What is said of it; names that a client made up may be as long as a request."""
    text = str(error)
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


def log_refusal(error: PredictorError, *, path: str, status: int | str) -> None:
    """Writes the one line that a refusal has in the log."""
    logger.warning("refused: %s", refusal_text(error), extra={"path": path, "status": status})
