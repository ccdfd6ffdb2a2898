"""Tiles are gathered for a pass for at most the delay, and no longer than the pass ahead takes."""

from __future__ import annotations

import threading

import numpy as np

from model.engine.flight import Tile
from model.engine.waiting import Request, Waiting


def waiting(sides: list[int], most: int = 8, max_delay_s: float = 3600) -> tuple[threading.Condition, Waiting[int]]:
    changed = threading.Condition()
    gathered: Waiting[int] = Waiting(changed, max_delay_s=max_delay_s, most=lambda _, __: most)
    for side in sides:
        gathered.add(Request(Tile(np.zeros((side, side, 3), np.uint8), np.zeros((side, side), np.uint8))))
    return changed, gathered


def sides_of(batch: list[Request[int]]) -> list[int]:
    return [request.tile.hole.shape[0] for request in batch]


def never() -> bool:
    return False


def test_a_full_batch_does_not_wait_and_is_of_one_size() -> None:
    changed, gathered = waiting([64, 80, 64, 64], most=2)
    with changed:
        assert sides_of(gathered.batch(never, looks=False)) == [64, 64]
        assert sides_of(gathered.batch(lambda: True, looks=False)) == [80]
        assert sides_of(gathered.batch(lambda: True, looks=False)) == [64]
        assert not gathered


def test_a_batch_that_is_not_full_ends_its_wait_with_the_pass_ahead() -> None:
    changed, gathered = waiting([64, 64, 64])
    looks: list[int] = []

    def ends_at_the_third_look() -> bool:
        looks.append(1)
        return len(looks) == 3

    with changed:
        # Nobody notifies: the end of a pass is seen by looking. Three tiles: a pass takes one, two, four or eight.
        assert sides_of(gathered.batch(ends_at_the_third_look, looks=True)) == [64, 64]
    assert len(looks) == 3


def test_the_delay_is_counted_from_a_tiles_arrival() -> None:
    changed, gathered = waiting([64], max_delay_s=0)
    with changed:
        assert sides_of(gathered.batch(never, looks=False)) == [64]
