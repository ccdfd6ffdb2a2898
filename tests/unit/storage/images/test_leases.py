"""Leases: one holder for each image, and only the holder counts."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from cleanplate.base.image_records import ImageRecord
from cleanplate.base.options import JobOptions
from storage.database import Database
from storage.ledger.images.finish import finish_images
from storage.ledger.images.leases import heartbeat, lease_images, release_images
from storage.ledger.images.reaper import close_jobs, fold_deltas, reap_leases
from storage.ledger.jobs.changes import cancel_job
from storage.ledger.tenants.tenants import ensure_tenant
from storage.ledger.webhooks.endpoints import create_endpoint
from storage.records import Counts, ImageState, JobState, Outcome
from storage.tables import attempts, images
from tests.shop import Clock, Shop, failed, succeeded


def attempts_of(shop: Shop, image_id: str) -> list[tuple[Any, ...]]:
    """Worker, outcome and code of each attempt at an image."""
    query = (
        select(attempts.c.worker, attempts.c.outcome, attempts.c.code)
        .where(attempts.c.image_id == image_id)
        .order_by(attempts.c.attempt)
    )
    with shop.db.read() as connection:
        return [tuple(row) for row in connection.execute(query)]


def waits_s(shop: Shop, clock: Clock, image_id: str) -> float:
    """Seconds until an image may be leased."""
    with shop.db.read() as connection:
        due = connection.scalar(select(images.c.available_at).where(images.c.id == image_id))
    assert due is not None
    return float((due - clock.time) / timedelta(seconds=1))


def test_leasing_gives_what_a_worker_needs_in_the_order_asked(shop: Shop, clock: Clock) -> None:
    job = shop.submit(3)
    first, second, third = shop.images(job.id)
    _, leased = lease_images(shop.db, [third.id, first.id, "img_none", third.id], worker="w", lease_s=60)
    assert [image.id for image in leased] == [third.id, first.id]
    assert (leased[0].source_key, leased[0].mask_key) == (third.source_key, third.mask_key)
    assert (leased[0].job_id, leased[0].tenant_id, leased[0].name) == (job.id, shop.tenant, "2.jpg")
    assert (leased[0].options, leased[0].attempt) == (JobOptions(dilation_px=4), 1)
    assert shop.image(first.id).state is ImageState.RUNNING
    assert shop.image(second.id).state is ImageState.QUEUED
    assert shop.job(job.id).counts == Counts(queued=1, running=2)


def test_a_lease_tells_how_the_attempts_before_ended(shop: Shop, clock: Clock) -> None:
    job = shop.submit(2)
    first, second = (image.id for image in shop.images(job.id))
    token, _ = lease_images(shop.db, [first], worker="w", lease_s=60)
    finish_images(shop.db, token, [failed(first, retry=True)], max_attempts=5)
    clock.advance(600)
    lease_images(shop.db, [first], worker="w", lease_s=60)
    clock.advance(600)
    reap_leases(shop.db, max_attempts=5)
    clock.advance(600)
    _, leased = lease_images(shop.db, [first, second], worker="w", lease_s=60)
    assert [image.earlier_codes for image in leased] == [("image_truncated", "worker_lost"), ()]


def test_the_first_lease_starts_the_job(shop: Shop, clock: Clock) -> None:
    job = shop.submit(2)
    started = clock.time
    for image_id in shop.image_ids(job.id):
        lease_images(shop.db, [image_id], worker="w", lease_s=60)
        running = shop.job(job.id)
        assert (running.state, running.started_at) == (JobState.RUNNING, started)
        clock.advance(5)


def test_leasing_nothing_or_what_is_held_gives_nothing(shop: Shop) -> None:
    job = shop.submit(1)
    assert lease_images(shop.db, [], worker="w", lease_s=60)[1] == []
    assert len(lease_images(shop.db, shop.image_ids(job.id), worker="w", lease_s=60)[1]) == 1
    assert lease_images(shop.db, shop.image_ids(job.id), worker="x", lease_s=60)[1] == []


def test_threads_leasing_at_once_get_each_image_exactly_once(database: Database) -> None:
    shop = Shop(database, ensure_tenant(database, "shop"))
    job = shop.submit(60)
    wanted = shop.image_ids(job.id)

    def lease(number: int) -> list[str]:
        # Each worker leases in another order, as shards that were published twice may overlap in any way.
        order = wanted[number:] + wanted[:number]
        taken = []
        for start in range(0, len(order), 7):
            _, leased = lease_images(database, order[start : start + 7], worker=str(number), lease_s=60)
            taken += [image.id for image in leased]
        return taken

    with ThreadPoolExecutor(8) as pool:
        taken = [image_id for leased in pool.map(lease, range(8)) for image_id in leased]
    assert Counter(taken) == Counter(wanted)
    assert all(image.attempt == 1 for image in shop.images(job.id))
    assert shop.job(job.id).counts == Counts(running=60) == shop.count_images(job.id)


def test_threads_that_do_everything_at_once_keep_the_counts_right(database: Database) -> None:
    shop = Shop(database, ensure_tenant(database, "shop"))
    endpoint, _ = create_endpoint(database, shop.tenant, "https://shop.example")
    jobs = [shop.submit(24, webhook=endpoint.id) for _ in range(3)]
    ids = [image_id for job in jobs for image_id in shop.image_ids(job.id)]

    def work(number: int) -> None:
        for round_ in range(6):
            token, leased = lease_images(database, ids[(number + round_) % 5 :: 5], worker=str(number), lease_s=60)
            heartbeat(database, token, lease_s=60, progress={image.id: (1, 2) for image in leased})
            release_images(database, token, [image.id for image in leased[:1]])
            outcomes = [succeeded(image.id) if number % 2 else failed(image.id) for image in leased[1:]]
            finish_images(database, token, outcomes, max_attempts=3)

    def tidy(number: int) -> None:
        for _ in range(10):
            fold_deltas(database)
            reap_leases(database, max_attempts=3)
            close_jobs(database)
            for job in jobs:
                counts = shop.job(job.id).counts
                assert counts.total == job.total, counts
        if number == 0:
            cancel_job(database, shop.tenant, jobs[0].id)

    with ThreadPoolExecutor(7) as pool:
        tasks = [pool.submit(work, number) for number in range(4)] + [pool.submit(tidy, number) for number in range(3)]
        for task in tasks:
            task.result()
    token, _ = lease_images(database, ids, worker="last", lease_s=60)
    finish_images(database, token, [succeeded(image_id) for image_id in ids], max_attempts=3)
    close_jobs(database)
    for job in jobs:
        counts = shop.job(job.id).counts
        assert counts == shop.count_images(job.id)
        assert counts.ended == job.total
        told = [event["type"] for event in shop.events(job.id)]
        assert told.count("image.failed") == counts.failed
        completed = shop.job(job.id).state is JobState.COMPLETED
        assert told.count("job.completed") == (1 if completed else 0)
        assert completed == (counts.canceled == 0)


def test_a_heartbeat_extends_leases_and_writes_progress(shop: Shop, clock: Clock) -> None:
    job = shop.submit(2)
    first, second = shop.image_ids(job.id)
    token, _ = lease_images(shop.db, [first, second], worker="w", lease_s=60)
    clock.advance(50)
    assert heartbeat(shop.db, token, lease_s=60, progress={first: (2, 9), "img_none": (1, 1)}) == {first, second}
    clock.advance(50)
    assert reap_leases(shop.db, max_attempts=3).counts == (0, 0)
    assert (shop.image(first).tiles_done, shop.image(first).tiles_total) == (2, 9)
    assert (shop.image(second).tiles_done, shop.image(second).tiles_total) == (0, None)
    assert heartbeat(shop.db, token, lease_s=60, progress={}) == {first, second}
    assert heartbeat(shop.db, "another token", lease_s=60, progress={}) == set()


def test_a_finished_image_keeps_all_that_was_said_of_it(shop: Shop, clock: Clock) -> None:
    job = shop.submit(3)
    good, bad, clean = shop.image_ids(job.id)
    token, _ = lease_images(shop.db, [good, bad, clean], worker="gpu-1", lease_s=60)
    clock.advance(3)
    skipped = Outcome(image_id=clean, state=ImageState.SKIPPED, result_key="source")
    outcomes = [succeeded(good, tiles=4), failed(bad), skipped]
    assert finish_images(shop.db, token, outcomes, max_attempts=3) == {good, bad, clean}
    image = shop.image(good)
    assert (image.state, image.result_key, image.content_type) == (
        ImageState.SUCCEEDED,
        f"results/{good}",
        "image/jpeg",
    )
    assert (image.width, image.height, image.tiles_done, image.tiles_total) == (640, 480, 4, 4)
    assert (image.record, image.finished_at, image.error_code) == (ImageRecord(method="inpainting"), clock.time, None)
    image = shop.image(bad)
    assert (image.state, image.error_code, image.error_detail) == (
        ImageState.FAILED,
        "image_truncated",
        "The file ends early.",
    )
    assert shop.image(clean).state is ImageState.SKIPPED
    assert shop.job(job.id).counts == Counts(succeeded=1, failed=1, skipped=1) == shop.count_images(job.id)
    assert attempts_of(shop, good) == [("gpu-1", "succeeded", None)]
    assert attempts_of(shop, bad) == [("gpu-1", "failed", "image_truncated")]


def test_finishing_twice_counts_once(shop: Shop) -> None:
    job = shop.submit(1)
    (image,) = shop.image_ids(job.id)
    token, _ = lease_images(shop.db, [image], worker="w", lease_s=60)
    assert finish_images(shop.db, token, [succeeded(image), succeeded(image)], max_attempts=3) == {image}
    assert finish_images(shop.db, token, [failed(image)], max_attempts=3) == set()
    assert finish_images(shop.db, token, [], max_attempts=3) == set()
    assert shop.job(job.id).counts == Counts(succeeded=1)


def test_a_lost_lease_cannot_finish(shop: Shop, clock: Clock) -> None:
    job = shop.submit(1)
    (image,) = shop.image_ids(job.id)
    old, _ = lease_images(shop.db, [image], worker="old", lease_s=60)
    clock.advance(60)
    assert reap_leases(shop.db, max_attempts=3).counts == (1, 0)
    assert finish_images(shop.db, old, [succeeded(image)], max_attempts=3) == set()
    new, leased = lease_images(shop.db, [image], worker="new", lease_s=60)
    assert [held.attempt for held in leased] == [2]
    assert heartbeat(shop.db, old, lease_s=60, progress={image: (1, 1)}) == set()
    assert finish_images(shop.db, old, [failed(image)], max_attempts=3) == set()
    release_images(shop.db, old, [image])
    assert shop.image(image).state is ImageState.RUNNING
    assert finish_images(shop.db, new, [succeeded(image)], max_attempts=3) == {image}
    assert attempts_of(shop, image) == [("old", "lost", "worker_lost"), ("new", "succeeded", None)]


def test_a_lease_that_ran_out_unnoticed_still_finishes(shop: Shop, clock: Clock) -> None:
    job = shop.submit(1)
    (image,) = shop.image_ids(job.id)
    token, _ = lease_images(shop.db, [image], worker="w", lease_s=60)
    clock.advance(600)
    assert finish_images(shop.db, token, [succeeded(image)], max_attempts=3) == {image}


def test_a_worker_cannot_end_an_image_as_queued_or_canceled(shop: Shop) -> None:
    job = shop.submit(1)
    (image,) = shop.image_ids(job.id)
    token, _ = lease_images(shop.db, [image], worker="w", lease_s=60)
    for state in (ImageState.QUEUED, ImageState.RUNNING, ImageState.CANCELED):
        with pytest.raises(ValueError, match="cannot end"):
            finish_images(shop.db, token, [Outcome(image_id=image, state=state)], max_attempts=3)


def test_a_transient_failure_is_tried_again_later_until_the_limit(shop: Shop, clock: Clock) -> None:
    endpoint, _ = create_endpoint(shop.db, shop.tenant, "https://shop.example")
    job = shop.submit(1, webhook=endpoint.id)
    (image,) = shop.image_ids(job.id)
    for attempt, longest in ((1, 3), (2, 6)):
        token, leased = lease_images(shop.db, [image], worker="w", lease_s=60)
        assert [held.attempt for held in leased] == [attempt]
        assert finish_images(shop.db, token, [failed(image, retry=True)], max_attempts=3) == {image}
        waiting = shop.image(image)
        assert (waiting.state, waiting.error_code, waiting.finished_at) == (ImageState.QUEUED, None, None)
        assert longest / 1.5 <= waits_s(shop, clock, image) <= longest
        assert lease_images(shop.db, [image], worker="early", lease_s=60)[1] == []
        assert shop.events(job.id) == []
        clock.advance(longest)
    token, _ = lease_images(shop.db, [image], worker="w", lease_s=60)
    finish_images(shop.db, token, [failed(image, retry=True)], max_attempts=3)
    assert (shop.image(image).state, shop.image(image).error_code) == (ImageState.FAILED, "image_truncated")
    assert attempts_of(shop, image) == [("w", "failed", "image_truncated")] * 3
    assert [event["type"] for event in shop.events(job.id)] == ["image.failed"]
    assert shop.job(job.id).counts == Counts(failed=1) == shop.count_images(job.id)


def test_the_wait_after_failures_is_bounded(shop: Shop, clock: Clock) -> None:
    job = shop.submit(1)
    (image,) = shop.image_ids(job.id)
    for _ in range(12):
        token, leased = lease_images(shop.db, [image], worker="w", lease_s=60)
        assert len(leased) == 1
        finish_images(shop.db, token, [failed(image, retry=True)], max_attempts=100)
        wait = waits_s(shop, clock, image)
        clock.advance(wait)
    assert 300 <= wait <= 450


def test_released_images_are_free_at_once_and_lose_no_attempt(shop: Shop) -> None:
    job = shop.submit(2)
    kept, given = shop.image_ids(job.id)
    token, _ = lease_images(shop.db, [kept, given], worker="stopping", lease_s=60)
    release_images(shop.db, token, [given])
    release_images(shop.db, token, [given])
    image = shop.image(given)
    assert (image.state, image.attempt, image.started_at) == (ImageState.QUEUED, 0, None)
    assert shop.job(job.id).counts == Counts(queued=1, running=1) == shop.count_images(job.id)
    assert heartbeat(shop.db, token, lease_s=60, progress={}) == {kept}
    _, leased = lease_images(shop.db, [given], worker="next", lease_s=60)
    assert [held.attempt for held in leased] == [1]
    assert attempts_of(shop, given) == [("next", None, None)]
