"""The flow: images that end in each minute, and those that wait, on both databases."""

from __future__ import annotations

from sqlalchemy import func, select

from storage.database import Database
from storage.ledger.images.finish import finish_images
from storage.ledger.images.leases import lease_images
from storage.ledger.images.reaper import fold_deltas
from storage.ledger.operations.flow import FlowStep, forget_flow, note_waiting, recent_flow
from storage.tables import flow
from tests.shop import Clock, Shop, succeeded

NOBODY = FlowStep(ended=None, waiting=None)


def end_images(shop: Shop, number: int) -> None:
    """Submit images, and end them in one transaction."""
    ids = [image.id for image in shop.images(shop.submit(number).id)]
    token, _ = lease_images(shop.db, ids, worker="w", lease_s=60)
    finish_images(shop.db, token, [succeeded(image_id) for image_id in ids], max_attempts=3)


def minutes(db: Database, number: int) -> list[FlowStep]:
    return recent_flow(db, steps=number, minutes=1).steps


def test_ends_are_counted_once_in_the_minute_in_which_they_are_folded(shop: Shop, clock: Clock) -> None:
    end_images(shop, 3)
    fold_deltas(shop.db)
    fold_deltas(shop.db)
    clock.advance(30)
    end_images(shop, 2)
    fold_deltas(shop.db)
    clock.advance(60)
    end_images(shop, 4)
    fold_deltas(shop.db)
    clock.advance(60)
    assert [step.ended for step in minutes(shop.db, 3)] == [None, 5, 4]


def test_the_minute_that_has_not_ended_is_left_out(shop: Shop, clock: Clock) -> None:
    end_images(shop, 3)
    fold_deltas(shop.db)
    clock.advance(59)
    assert minutes(shop.db, 2) == [NOBODY, NOBODY]


def test_waiting_images_are_the_last_ones_of_a_minute_and_the_most_of_a_step(db: Database, clock: Clock) -> None:
    for images in (7, 50, 20):
        note_waiting(db, images)
    clock.advance(60)
    note_waiting(db, 90)
    clock.advance(60)
    assert [step.waiting for step in minutes(db, 2)] == [20, 90]
    assert recent_flow(db, steps=1, minutes=2).steps == [FlowStep(ended=0, waiting=90)]


def test_a_step_in_which_nobody_led_is_a_gap_and_no_zero(db: Database, clock: Clock) -> None:
    note_waiting(db, 5)
    clock.advance(120)
    note_waiting(db, 6)
    clock.advance(60)
    assert minutes(db, 3) == [FlowStep(ended=0, waiting=5), NOBODY, FlowStep(ended=0, waiting=6)]


def test_a_day_is_read_in_steps_and_then_forgotten(shop: Shop, clock: Clock) -> None:
    end_images(shop, 30)
    fold_deltas(shop.db)
    clock.advance(15 * 60)
    assert recent_flow(shop.db, steps=96, minutes=15).steps[-1] == FlowStep(ended=30, waiting=None)
    clock.advance(24 * 3600)
    assert recent_flow(shop.db, steps=96, minutes=15).steps == [NOBODY] * 96
    assert forget_flow(shop.db) == 0
    clock.advance(3600)
    assert forget_flow(shop.db) == 1
    with shop.db.read() as connection:
        assert connection.scalar(select(func.count()).select_from(flow)) == 0
