"""The breaker: which calls are sent to a server that does not answer, and how soon its return is seen."""

from __future__ import annotations

import pytest

from storage.breaker import FAILURES, LONGEST_TRY_S, PAUSE_S, Breaker


class Time:
    """Seconds that only tests move."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def opened(time: Time) -> Breaker:
    breaker = Breaker(time)
    for _ in range(FAILURES):
        assert breaker.allows()
        breaker.failed()
    assert not breaker.allows()
    return breaker


@pytest.mark.parametrize("outage_s", [1.0, 60.0, 3600.0])
def test_a_server_that_is_back_is_tried_within_a_second_however_long_it_was_away(
    opened: Breaker, time: Time, outage_s: float
) -> None:
    assert PAUSE_S < 1
    back_at = time.now + outage_s
    tries = 0
    while time.now < back_at:
        time.now += PAUSE_S
        if opened.allows():
            opened.failed()
            tries += 1
    assert tries == outage_s / PAUSE_S
    time.now += PAUSE_S
    assert opened.allows()
    opened.answered()
    assert all(opened.allows() for _ in range(10))


def test_a_try_that_hangs_keeps_the_next_one_back(opened: Breaker, time: Time) -> None:
    time.now += PAUSE_S
    assert opened.allows()
    time.now += LONGEST_TRY_S - 1
    assert not opened.allows()
    opened.failed()
    assert not opened.allows()
    time.now += PAUSE_S
    assert opened.allows()


def test_a_try_whose_outcome_is_never_told_does_not_end_all_tries(opened: Breaker, time: Time) -> None:
    time.now += PAUSE_S
    assert opened.allows()
    time.now += LONGEST_TRY_S
    assert opened.allows()


def test_an_answer_between_failures_keeps_it_closed(time: Time) -> None:
    breaker = Breaker(time)
    for _ in range(10):
        breaker.failed()
        breaker.answered()
        breaker.failed()
        assert breaker.allows()
