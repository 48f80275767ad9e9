"""The parameters of a request, on every protocol; bad ones are InvalidRequest."""

import pytest

from predictor.codecs.call import read_parameters
from predictor.errors import InvalidRequest
from predictor.types import SpanParameters

DEFAULTS = SpanParameters()


def test_without_any_the_artifacts_are_taken():
    assert read_parameters({}, DEFAULTS, 512) == (DEFAULTS, None)


def test_parameters_are_laid_over_the_artifacts():
    given = {"top_k": 2, "max_answer_length": "7", "timeout": 1500, "priority": 1}
    parameters, timeout = read_parameters(given, DEFAULTS, 512)
    assert (parameters.top_k, parameters.max_answer_length) == (2, 7)
    assert timeout == pytest.approx(0.0015)


@pytest.mark.parametrize(
    "given",
    [
        {"top_k": 0},
        {"top_k": 21},
        {"top_k": 1.5},
        {"top_k": True},
        {"top_k": "many"},
        {"top_k": None},
        {"max_answer_length": 513},
        {"null_score_diff_threshold": "nan"},
        {"null_score_diff_threshold": []},
        {"timeout": -1},
        {"topk": 1},
    ],
)
def test_bad_parameters_are_refused(given):
    with pytest.raises(InvalidRequest, match=next(iter(given))):
        read_parameters(given, DEFAULTS, 512)
