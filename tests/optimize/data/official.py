"""The official SQuAD v2 figures, from the port of the evaluation script in `transformers`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace

import pytest
from transformers.data.metrics.squad_metrics import squad_evaluate

from optimize.data.metrics import Prediction, Scores
from optimize.data.squad import Example

# Ours → theirs; the best thresholds are compared apart.
_NAMES = {
    "questions": "total",
    "exact_match": "exact",
    "f1": "f1",
    "has_answer_exact_match": "HasAns_exact",
    "has_answer_f1": "HasAns_f1",
    "no_answer_exact_match": "NoAns_exact",
    "no_answer_f1": "NoAns_f1",
    "best_exact_match": "best_exact",
    "best_f1": "best_f1",
}


def assert_official(
    scores: Scores,
    examples: Sequence[Example],
    predictions: Mapping[str, Prediction],
    threshold: float,
) -> None:
    """Every figure is the official one, and so are the thresholds where any answer pays."""
    theirs = squad_evaluate(
        [
            SimpleNamespace(qas_id=e.id, answers=[{"text": text} for text in e.answers])
            for e in examples
        ],
        {e.id: predictions[e.id].best for e in examples},
        {e.id: predictions[e.id].null_score_diff for e in examples},
        threshold,
    )
    for name, official in _NAMES.items():
        assert getattr(scores, name) == pytest.approx(theirs.get(official)), name
    refusing_all = 100 * sum(not e.answers for e in examples) / len(examples)
    for name, official in (("best_f1", "best_f1"), ("best_exact_match", "best_exact")):
        if theirs[official] > refusing_all:
            assert getattr(scores, f"{name}_threshold") == theirs[f"{official}_thresh"]
