"""How far a step's logits and spans are from the step before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from optimize.data.metrics import Prediction
from optimize.data.squad import Example
from optimize.errors import GateFailed
from predictor.engine import Engine
from predictor.types import Question

# Used where no data set is given, and enough to tell a broken graph from a sound one.
QUESTIONS = tuple(
    Question(question, context)
    for context, questions in {
        "The harbour of Lindholm was built in 1732 by Dutch engineers. Its two stone piers are "
        "four hundred metres long, and the lighthouse at the end of the northern one still "
        "burns every night, although no ship has called there since the flood of 1953.": (
            "When was the harbour built?",
            "Who built the harbour of Lindholm?",
            "How long are the piers?",
            "Which pier has a lighthouse?",
            "How many ships sank in 1953?",
        ),
        "Yeast turns sugar into alcohol and carbon dioxide. In bread dough the gas is caught by "
        "gluten, so the loaf rises; the alcohol leaves in the oven.": (
            "What does yeast make from sugar?",
            "What catches the gas in dough?",
            "Where does the alcohol leave?",
            "What is the boiling point of alcohol?",
        ),
    }.items()
    for question in questions
)


_SAMPLE = 24
# fp16 keeps eleven bits; sums over a row of weights lose a few of them.
FP16_TOLERANCE = 2e-2


@dataclass(frozen=True)
class Parity:
    """Agreement of one engine with a reference.

    Attributes:
        max_logit_difference: The largest absolute difference over all tokens.
        max_logit: The largest absolute logit of the reference, to read it against.
        span_agreement: Share of questions whose best span is the same text, or None.
    """

    max_logit_difference: float
    max_logit: float
    span_agreement: float | None

    @property
    def relative(self) -> float:
        """The difference relative to max(1, the largest logit)."""
        return self.max_logit_difference / max(1.0, self.max_logit)


def compare(
    engine: Engine,
    reference: Engine,
    questions: Sequence[Question],
    *,
    predictions: tuple[Mapping[str, Prediction], Mapping[str, Prediction]] | None = None,
) -> Parity:
    """Runs the same questions through both engines.

    Args:
        engine, reference: To compare; both must tokenize alike.
        questions: What the logits are compared on; each question is a batch of its own.
        predictions: Of both on a data set; the span agreement is theirs where given.
    """
    difference = largest = 0.0
    same = []
    for question in questions:
        features = reference.prepare([question])
        ours, theirs = engine.run(features), reference.run(features)
        for a, b in zip(ours, theirs, strict=True):
            # numpy's max keeps a value that is not a number, Python's loses it.
            difference = float(np.max([difference, np.max(np.abs(np.subtract(a, b)))]))
            largest = float(np.max([largest, np.max(np.abs(b))]))
        if not np.isfinite(difference):
            return Parity(difference, largest, 0.0)  # there are no spans to compare
        texts = [
            e.extract([question], features, logits, e.parameters)[0].answers[0].text
            for e, logits in ((engine, ours), (reference, theirs))
        ]
        same.append(texts[0] == texts[1])
    if predictions is not None:
        mine, others = predictions
        same = [mine[name].best == others[name].best for name in others]
    return Parity(difference, largest, sum(same) / len(same) if same else None)


def check(
    step: str, precision: str, parity: Parity, *, tolerance: float, min_span_agreement: float
) -> None:
    """Raises GateFailed where a step is further from the step before than its precision may be.

    Args:
        tolerance: Of the logits of an fp32 step.
        min_span_agreement: Share of answers that fp16 and int8 must leave as they were.
    """
    if precision != "int8":
        check_logits(step, parity, tolerance if precision == "fp32" else FP16_TOLERANCE)
    if precision != "fp32":
        check_spans(step, parity, min_span_agreement)


def check_logits(step: str, parity: Parity, tolerance: float) -> None:
    """Raises GateFailed where logits differ by more than the relative tolerance."""
    if not parity.relative <= tolerance:  # also where it is not a number
        raise GateFailed(
            f"{step}: logits differ by {parity.max_logit_difference:.2e} from the step before, "
            f"{parity.relative:.2e} of the largest; the bound is {tolerance:.0e}"
        )


def check_spans(step: str, parity: Parity, least: float) -> None:
    """Raises GateFailed where fewer answers than allowed stayed the same."""
    if parity.span_agreement is not None:
        check_agreement(step, parity.span_agreement, least)


def check_agreement(step: str, share: float, least: float) -> None:
    """Raises GateFailed where too small a share of the answers are those of the step before."""
    if not share >= least:
        raise GateFailed(
            f"{step}: {share:.1%} of the answers are those of the step before; "
            f"the bound is {least:.0%}"
        )


def sample(examples: Sequence[Example]) -> list[Question]:
    """Questions to compare on: spread evenly over the data set, or the built-in ones."""
    if not examples:
        return list(QUESTIONS)
    count = min(_SAMPLE, len(examples))
    picked = (examples[place * len(examples) // count] for place in range(count))
    return [Question(example.question, example.context) for example in picked]
