"""What is let in, what is told to those who are not, and what a permit gives back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.batching.admission import Admission
from predictor.errors import NotReady, QueueFull, RequestTooLarge


def counts(admission):
    return admission.requests, admission.waiting, admission.tokens


def test_waiting_requests_are_bounded():
    admission = Admission(2, 1000)
    first, _ = (admission.admit(40) for _ in range(2))
    with pytest.raises(QueueFull, match="2 requests wait"):
        admission.admit(40)
    first.counted(10)
    first.started(10)
    admission.admit(40)
    assert admission.requests == 3


def test_waiting_tokens_are_bounded_by_estimate_and_by_count():
    admission = Admission(100, 1000)
    first = admission.admit(3600)
    assert admission.tokens == 900
    with pytest.raises(QueueFull, match="900 tokens wait"):
        admission.admit(800)
    first.counted(700)
    second = admission.admit(800)
    with pytest.raises(QueueFull, match="700 tokens wait"):
        second.counted(400)
    assert admission.tokens == 700


def test_what_could_never_wait_is_too_large():
    admission = Admission(100, 1000)
    with pytest.raises(RequestTooLarge, match="at most 1000 tokens"):
        admission.admit(16_001)
    permit = admission.admit(16_000)
    assert admission.tokens == 1000
    with pytest.raises(RequestTooLarge, match="1001 tokens"):
        permit.counted(1001)
    assert admission.tokens == 0
    assert permit.waiting
    permit.released()
    assert counts(admission) == (0, 0, 0)


def test_retry_after_follows_from_the_speed():
    admission = Admission(1, 10_000)
    permit = admission.admit(20_000)
    with pytest.raises(QueueFull) as unknown:
        admission.admit(4)
    assert unknown.value.retry_after == 1
    admission.ran(1000, 1.0)
    permit.counted(5000)
    with pytest.raises(QueueFull) as known:
        admission.admit(4)
    assert known.value.retry_after == 5


def test_nobody_is_let_in_after_closing():
    admission = Admission(1, 1000)
    admission.close()
    with pytest.raises(NotReady):
        admission.admit(4)


def test_a_request_waits_until_the_last_of_it_has_started():
    admission = Admission(1, 1000)
    permit = admission.admit(0)  # estimated to have no tokens, it waits nevertheless
    assert permit.waiting
    permit.counted(30)
    permit.started(10)
    assert permit.waiting
    assert counts(admission) == (1, 1, 20)
    permit.started(20)
    assert not permit.waiting
    assert counts(admission) == (1, 0, 0)
    permit.released()
    assert counts(admission) == (0, 0, 0)


@given(
    st.lists(st.tuples(st.integers(0, 400), st.lists(st.integers(1, 60), max_size=4)), max_size=8)
)
def test_released_at_any_time_it_gives_back_what_it_has(requests):
    admission = Admission(100, 10**6)
    kept = admission.admit(80)
    permits = []
    for characters, started in requests:
        permit = admission.admit(characters)
        permits.append(permit)
        if started:  # of as many tokens and one more feature of 5, which never starts
            permit.counted(sum(started) + 5)
            for tokens in started:
                permit.started(tokens)
    assert counts(admission)[:2] == (len(requests) + 1,) * 2
    for permit in permits:
        permit.released()
        assert not permit.waiting
    assert counts(admission) == (1, 1, 20)
    kept.released()
    assert counts(admission) == (0, 0, 0)
