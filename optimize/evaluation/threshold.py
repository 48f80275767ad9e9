"""The null threshold to serve with, chosen on questions that nothing is judged on.

F1 hardly changes over a wide range of thresholds, and which of them is best on some hundred
questions is chance: steps that answer alike would be served points apart. So the best one is found
on many resamples of the questions, and their mean is taken (bagging: Breiman 1996).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from optimize.data import metrics
from optimize.data.metrics import Prediction
from optimize.data.squad import Example

_RESAMPLES = 1000


def choose(
    examples: Sequence[Example], predictions: Mapping[str, Prediction], seed: int = 0
) -> float | None:
    """The threshold of the best F1; None, never to refuse, where every question has an answer.

    On each resample it lies halfway between the largest difference that is answered and the next
    one, or a point beyond the last one.

    Args:
        examples: What to choose on, at least one.
        predictions: One for each example's id.
        seed: Of the resampling; the same predictions give the same threshold.
    """
    if all(example.answers for example in examples):
        return None
    differences = np.array([predictions[example.id].null_score_diff for example in examples])
    answered = np.array(metrics.f1_of_each(examples, predictions, None))
    refused = np.array([float(not example.answers) for example in examples])
    # Questions of the same difference are answered together, or none of them.
    cuts, place = np.unique(differences, return_inverse=True)  # (cuts,), (questions,)
    count = len(examples)
    draws = np.random.default_rng(seed).multinomial(count, [1 / count] * count, size=_RESAMPLES)
    gains = np.zeros((_RESAMPLES, len(cuts) + 1))  # of answering none, the first cut, two, …
    np.add.at(gains.T, place + 1, (draws * (answered - refused)).T)
    best = np.argmax(np.cumsum(gains, axis=1), axis=1)
    edges = np.concatenate([[cuts[0] - 2], cuts, [cuts[-1] + 2]])
    return float(np.mean((edges[best] + edges[best + 1]) / 2))
