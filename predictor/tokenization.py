"""Question and context → features: windows of at most max_seq_length tokens that overlap.

The windows are those of `tokenizers`' truncation with `only_second` and a stride, made from one
untruncated encoding. So no call at request time changes the tokenizer, which would not be safe to
do from several threads, and any pair template works: whatever stands before the first and after
the last context token is repeated around every window.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import tokenizers

from predictor.errors import ArtifactError, QuestionTooLong, RequestTooLarge
from predictor.types import Feature, Question

# One encoding per call: the library's own thread pool would compete with inference for cores.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

_CONTEXT = 1
_LEAST_ROOM = 16
_CHUNK = 16  # questions encoded at once: bounds what lies in memory as Python lists


class FeatureTokenizer:
    """Makes features; safe to call from several threads, each of which gets its own tokenizer."""

    def __init__(self, path: Path, *, max_seq_length: int, doc_stride: int) -> None:
        """Reads a `tokenizer.json`.

        Args:
            path: The file.
            max_seq_length: Most tokens of a feature, special tokens included.
            doc_stride: Tokens of context that neighbouring features share.

        Raises:
            ArtifactError: The file is not a tokenizer.
        """
        try:
            self._definition = path.read_text(encoding="utf-8")
            self._configured()
        except Exception as error:  # tokenizers raises a bare Exception for a malformed file
            raise ArtifactError(f"{path}: not a tokenizer ({error})") from error
        self._max_seq_length = max_seq_length
        self._doc_stride = doc_stride
        self._local = threading.local()

    def features(
        self, questions: Sequence[Question], max_tokens: int | None = None
    ) -> list[Feature]:
        """Features of all questions, in order; at least one for each.

        Args:
            questions: What to tokenize.
            max_tokens: Most tokens of all features together, or None.

        Raises:
            QuestionTooLong: A question leaves no room for its context.
            RequestTooLarge: The features would have more tokens.
        """
        tokenizer = self._own_tokenizer()
        features: list[Feature] = []
        used = 0
        for first in range(0, len(questions), _CHUNK):
            pairs = [(q.question, q.context) for q in questions[first : first + _CHUNK]]
            # Unlike `encode`, `encode_batch` lets other threads run meanwhile.
            for index, encoding in enumerate(tokenizer.encode_batch(pairs), first):
                windows = self._windows(index, encoding, used, max_tokens)
                used += sum(map(len, windows))
                features += windows
        return features

    def _windows(
        self, index: int, encoding: tokenizers.Encoding, used: int, max_tokens: int | None
    ) -> list[Feature]:
        _check(used + len(encoding), max_tokens)
        ids = np.array(encoding.ids, dtype=np.int64)  # (all,)
        type_ids = np.array(encoding.type_ids, dtype=np.int64)
        flat = chain.from_iterable(encoding.offsets)
        offsets = np.fromiter(flat, np.int64, 2 * len(ids)).reshape(-1, 2)
        in_context = np.array([s == _CONTEXT for s in encoding.sequence_ids], dtype=np.bool_)
        offsets[~in_context] = 0

        first, last = _bounds(in_context)
        around = len(ids) - (last - first)
        room = self._max_seq_length - around
        if room < _LEAST_ROOM and last - first > room:
            raise QuestionTooLong(
                f"question is too long: with {around} tokens it leaves room for {max(room, 0)} "
                f"tokens of context in a window of {self._max_seq_length}"
            )
        bounds = _window_bounds(first, last, room, self._doc_stride)
        # A long question before every window of a long context takes hundreds of times its text.
        _check(used + sum(stop - start + around for start, stop in bounds), max_tokens)
        windows = []
        for start, stop in bounds:
            pick = np.r_[0:first, start:stop, last : len(ids)]
            windows.append(
                Feature(index, ids[pick], type_ids[pick], offsets[pick], in_context[pick])
            )
        return windows

    def _own_tokenizer(self) -> tokenizers.Tokenizer:
        tokenizer = getattr(self._local, "tokenizer", None)
        if tokenizer is None:
            tokenizer = self._local.tokenizer = self._configured()
        return tokenizer

    def _configured(self) -> tokenizers.Tokenizer:
        tokenizer = tokenizers.Tokenizer.from_str(self._definition)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer


def _check(tokens: int, max_tokens: int | None) -> None:
    if max_tokens is not None and tokens > max_tokens:
        raise RequestTooLarge(
            f"the request has too many tokens; at most {max_tokens} tokens are taken"
        )


def _bounds(in_context: np.ndarray) -> tuple[int, int]:
    """Half-open range of the context's tokens; before the last token where there are none."""
    positions = np.flatnonzero(in_context)
    if not len(positions):
        end = len(in_context) - 1
        return end, end
    return int(positions[0]), int(positions[-1]) + 1


def _window_bounds(first: int, last: int, room: int, doc_stride: int) -> list[tuple[int, int]]:
    """Token ranges of the windows: `room` long, each sharing `doc_stride` with the one before.

    Where a long question leaves little room, the overlap shrinks to half of it.
    """
    if last - first <= room:
        return [(first, last)]
    step = room - min(doc_stride, room // 2)
    bounds = []
    start = first
    while True:
        stop = min(start + room, last)
        bounds.append((start, stop))
        if stop == last:
            return bounds
        start += step
