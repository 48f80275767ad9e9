"""What is let in, and what is told to those who are not."""

import pytest

from predictor.batching.admission import Admission
from predictor.errors import NotReady, QueueFull, RequestTooLarge


def test_waiting_requests_are_bounded():
    admission = Admission(2, 1000)
    for _ in range(2):
        admission.admit(40)
    with pytest.raises(QueueFull, match="2 requests wait"):
        admission.admit(40)
    admission.waiting -= 1
    admission.admit(40)


def test_waiting_tokens_are_bounded_by_estimate_and_by_count():
    admission = Admission(100, 1000)
    estimate = admission.admit(3600)
    assert (estimate, admission.tokens) == (900, 900)
    with pytest.raises(QueueFull, match="900 tokens wait"):
        admission.admit(800)
    admission.correct(estimate, 700)
    second = admission.admit(800)
    with pytest.raises(QueueFull):
        admission.correct(second, 400)
    assert admission.tokens == 700


def test_what_could_never_wait_is_too_large():
    admission = Admission(100, 1000)
    with pytest.raises(RequestTooLarge, match="at most 1000 tokens"):
        admission.admit(16_001)
    estimate = admission.admit(16_000)
    assert estimate == 1000
    with pytest.raises(RequestTooLarge, match="1001 tokens"):
        admission.correct(estimate, 1001)
    assert admission.tokens == 0


def test_retry_after_follows_from_the_speed():
    admission = Admission(1, 10_000)
    estimate = admission.admit(20_000)
    with pytest.raises(QueueFull) as unknown:
        admission.admit(4)
    assert unknown.value.retry_after == 1
    admission.ran(1000, 1.0)
    admission.correct(estimate, 5000)
    with pytest.raises(QueueFull) as known:
        admission.admit(4)
    assert known.value.retry_after == 5


def test_nobody_is_let_in_after_closing():
    admission = Admission(1, 1000)
    admission.close()
    with pytest.raises(NotReady):
        admission.admit(4)
