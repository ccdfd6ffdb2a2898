"""The memory of pictures in flight is bounded."""

from __future__ import annotations

import threading

import pytest

from workers.device.images.byte_budget import ByteBudget
from workers.errors import Interrupted


def test_waits_for_room_and_goes_on_when_there_is_some() -> None:
    budget = ByteBudget(10)
    budget.take(7)
    began, took = threading.Event(), threading.Event()

    def take() -> None:
        began.set()
        budget.take(4)
        took.set()

    thread = threading.Thread(target=take)
    thread.start()
    assert began.wait(30)
    assert not took.wait(0.1)
    budget.give(7)
    assert took.wait(30), "room was not noticed"
    thread.join()


def test_one_picture_always_fits() -> None:
    ByteBudget(10).take(1000)


def test_closing_interrupts_waiting_threads() -> None:
    budget = ByteBudget(10)
    budget.take(10)
    told = threading.Event()

    def take() -> None:
        try:
            budget.take(1)
        except Interrupted:
            told.set()

    thread = threading.Thread(target=take)
    thread.start()
    budget.close()
    assert told.wait(30), "still waiting"
    thread.join()
    with pytest.raises(Interrupted):
        budget.take(1)
