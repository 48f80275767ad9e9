"""The protocol-free core: prepare → run → extract, and answer, which chains the three."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from predictor import batch_plan, span
from predictor.artifact import TOKENIZER_FILE, ArtifactSpec, load_spec
from predictor.errors import InternalError
from predictor.sessions.loading import ORT_SESSION, load_session
from predictor.sessions.protocol import DependsOnRemote, Session, SessionOptions, WarmsUp
from predictor.tokenization import FeatureTokenizer
from predictor.types import Feature, Logits, Question, Result, SpanParameters, Timings


class Engine:
    """Answers questions with one artifact. `run` is for one thread at a time, the rest for any."""

    def __init__(
        self,
        spec: ArtifactSpec,
        tokenizer: FeatureTokenizer,
        session: Session,
    ) -> None:
        """Takes loaded parts; `Engine.load` makes them from a folder."""
        self.spec = spec
        self.session = session
        self._tokenizer = tokenizer

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        session: str = ORT_SESSION,
        options: SessionOptions | None = None,
    ) -> Engine:
        """Verifies and loads a model folder.

        Args:
            folder: The artifact.
            session: Name of the Session; see load_session.
            options: How it runs the model; None for what suits this machine.

        Raises:
            StartupError: The artifact, the session or the provider cannot be used.
        """
        spec = load_spec(folder)
        tokenizer = FeatureTokenizer(
            folder / TOKENIZER_FILE,
            max_seq_length=spec.max_seq_length,
            doc_stride=spec.doc_stride,
        )
        loaded = load_session(session, spec, folder, options or SessionOptions())
        return cls(spec, tokenizer, loaded)

    @property
    def depends_on(self) -> DependsOnRemote | None:
        """The session, where it can run nothing while another server is away."""
        return self.session if isinstance(self.session, DependsOnRemote) else None

    @property
    def parameters(self) -> SpanParameters:
        """The artifact's own span parameters."""
        return SpanParameters(
            n_best_size=self.spec.n_best_size,
            max_answer_length=self.spec.max_answer_length,
            null_score_diff_threshold=self.spec.null_score_diff_threshold,
        )

    def prepare(
        self, questions: Sequence[Question], max_tokens: int | None = None
    ) -> list[Feature]:
        """Tokenizes; raises QuestionTooLong, and RequestTooLarge over so many tokens."""
        return self._tokenizer.features(questions, max_tokens)

    def plan(self, lengths: Sequence[int]) -> list[list[int]]:
        """Positions of features of these lengths, one list per run; see batch_plan.plan."""
        session = self.session
        return batch_plan.plan(lengths, session.max_batch_tokens, session.run_overhead_tokens)

    def run_batch(self, features: Sequence[Feature]) -> list[Logits]:
        """Logits of each feature, (seq,), from one run."""
        batch = batch_plan.collate(features, self.spec.inputs, self.spec.pad_token_id)
        start, end = self.session.run(batch)
        return [
            Logits(start[row, : len(feature)], end[row, : len(feature)])
            for row, feature in enumerate(features)
        ]

    def run(self, features: Sequence[Feature]) -> list[Logits]:
        """Logits of each feature, (seq,), in the batches that the plan puts them in."""
        logits: dict[int, Logits] = {}
        for positions in self.plan([len(feature) for feature in features]):
            batch = self.run_batch([features[position] for position in positions])
            logits.update(zip(positions, batch, strict=True))
        return [logits[position] for position in range(len(features))]

    def extract(
        self,
        questions: Sequence[Question],
        features: Sequence[Feature],
        logits: Sequence[Logits],
        parameters: SpanParameters,
    ) -> list[Result]:
        """One result per question, in order.

        Raises:
            InternalError: The model gave a value that is not a number.
        """
        for own in logits:
            if not (np.isfinite(own.start).all() and np.isfinite(own.end).all()):
                raise InternalError("the model gave a logit that is not a finite number")
        windows: list[list[int]] = [[] for _ in questions]
        for position, feature in enumerate(features):
            windows[feature.question_index].append(position)
        return [
            span.extract(
                question.context,
                [features[position] for position in own],
                [logits[position] for position in own],
                parameters,
            )
            for question, own in zip(questions, windows, strict=True)
        ]

    def answer(
        self, questions: Sequence[Question], parameters: SpanParameters | None = None
    ) -> tuple[list[Result], Timings]:
        """All three stages in the calling thread; the artifact's own parameters by default."""
        started = time.perf_counter()
        features = self.prepare(questions)
        tokenized = time.perf_counter()
        logits = self.run(features)
        ran = time.perf_counter()
        results = self.extract(questions, features, logits, parameters or self.parameters)
        timings = Timings(
            tokenize=tokenized - started,
            run=ran - tokenized,
            extract=time.perf_counter() - ran,
        )
        return results, timings

    def warm_up(self) -> None:
        """Prepares the session and runs the smallest and the largest feature.

        On the thread that will call `run`; the first client then does not wait.

        Raises:
            StartupError: The session cannot prepare what it needs.
        """
        if isinstance(self.session, WarmsUp):
            self.session.warm_up()
        self.answer([Question("Is it warm?", "Yes.")])
        long = self.prepare([Question("Is it warm?", "warm " * self.spec.max_seq_length)])
        self.run(long[:1])
