"""The memory of pictures in flight is bounded."""

from __future__ import annotations

import threading

import pytest

from tests.running import until
from workers.device.images.byte_budget import ByteBudget
from workers.errors import Interrupted


def goes_on() -> bool:
    return False


def test_waits_for_room_and_goes_on_when_there_is_some() -> None:
    budget = ByteBudget(10)
    budget.take(7, goes_on)
    began, took = threading.Event(), threading.Event()

    def take() -> None:
        began.set()
        budget.take(4, goes_on)
        took.set()

    thread = threading.Thread(target=take)
    thread.start()
    assert began.wait(30)
    assert not took.wait(0.1)
    budget.give(7)
    assert took.wait(30), "room was not noticed"
    thread.join()


def test_one_picture_always_fits() -> None:
    ByteBudget(10).take(1000, goes_on)


def test_small_pictures_do_not_overtake_a_large_one() -> None:
    budget = ByteBudget(10)
    budget.take(6, goes_on)
    large, small = (threading.Thread(target=budget.take, args=(count, goes_on)) for count in (8, 2))
    large.start()
    until(lambda: budget.waiting == 1, "the large picture does not ask")
    small.start()
    until(lambda: budget.waiting == 2, "the small picture does not wait for its turn")
    budget.give(6)
    for thread in (large, small):
        thread.join(30)
        assert not thread.is_alive()


def test_a_stop_interrupts_waiting_threads() -> None:
    budget = ByteBudget(10)
    budget.take(10, goes_on)
    stopping, told = threading.Event(), threading.Event()

    def take() -> None:
        try:
            budget.take(1, stopping.is_set)
        except Interrupted:
            told.set()

    thread = threading.Thread(target=take)
    thread.start()
    until(lambda: budget.waiting == 1, "the thread does not ask")
    stopping.set()
    budget.wake()
    assert told.wait(30), "still waiting"
    thread.join()
    assert budget.waiting == 0
    with pytest.raises(Interrupted):
        budget.take(1, stopping.is_set)
