"""Questions → token batches for PyTorch, real tokens marked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from optimize.data import squad
from optimize.data.squad import Example
from optimize.data.unanswerable import mixed
from optimize.errors import SourceError
from optimize.source.family import Input
from predictor import batch_plan
from predictor.artifact import TOKENIZER_FILE
from predictor.errors import QuestionTooLong
from predictor.tokenization import FeatureTokenizer
from predictor.types import Feature, Question

Inputs = dict[str, torch.Tensor]
"""Input name → int64 (rows, longest), right-padded."""

# What a pass with gradients keeps grows with it.
BATCH_TOKENS = 2048


class Sequences:
    """Features of some questions in batches of similar lengths, the same in every pass."""

    def __init__(
        self,
        folder: Path,
        questions: Sequence[Question],
        inputs: Sequence[Input],
        pad_token_id: int,
        max_seq_length: int,
    ) -> None:
        """Tokenizes.

        Args:
            folder: Where `tokenizer.json` lies.
            questions: One feature of each is used, its first window; those too long have none.
            inputs: What the model is fed.
            pad_token_id: What rows are filled up with.
            max_seq_length: Most tokens of a feature.

        Raises:
            SourceError: All questions are too long.
        """
        tokenizer = FeatureTokenizer(
            folder / TOKENIZER_FILE, max_seq_length=max_seq_length, doc_stride=0
        )
        first = [_first_window(tokenizer, question) for question in questions]
        features = [feature for feature in first if feature]
        if not features:
            raise SourceError("no training question leaves room for its context in a window")
        self._parts = list(_parts(sorted(features, key=len)))
        self._inputs = tuple(inputs)
        self._pad_token_id = pad_token_id

    def __iter__(self) -> Iterator[Inputs]:
        for part in self._parts:
            batch = batch_plan.collate(part, self._inputs, self._pad_token_id)
            yield {name: torch.from_numpy(array) for name, array in batch.items()}

    def __len__(self) -> int:
        """How many batches there are."""
        return len(self._parts)

    @property
    def rows(self) -> int:
        """How many features there are."""
        return sum(map(len, self._parts))


def questions(
    train: Sequence[Example],
    count: int,
    *,
    unanswerable: bool,
    others: Sequence[Example] = (),
    seed: int = 0,
) -> list[Question]:
    """Training questions to prune on, drawn at random, the same every time.

    Args:
        train: All of them.
        count: How many, at most.
        unanswerable: Whether a third has no answer, as most training data have too few of those.
        others: What something else is chosen on, and is left out where any is left.
        seed: Of the draws.
    """
    taken = {example.id for example in others}
    free = [example for example in train if example.id not in taken] or train
    drawn = squad.sample(free, count, seed)
    if unanswerable:
        drawn = mixed(drawn, train, seed=seed)
    return [Question(example.question, example.context) for example in drawn]


def _first_window(tokenizer: FeatureTokenizer, question: Question) -> Feature | None:
    try:
        return tokenizer.features([question])[0]
    except QuestionTooLong:
        return None


def _parts(features: Sequence[Feature]) -> Iterator[list[Feature]]:
    """Cuts features in order of their lengths into parts of up to BATCH_TOKENS with padding."""
    part: list[Feature] = []
    for feature in features:
        if part and (len(part) + 1) * len(feature) > BATCH_TOKENS:
            yield part
            part = []
        part.append(feature)
    if part:
        yield part
