"""At a job's deadline waiting images fail, and running images may end normally."""

from __future__ import annotations

from datetime import timedelta

from storage.database import Database
from storage.ledger.images.deadlines import fail_late_images
from storage.ledger.images.dispatch import take_shards
from storage.ledger.images.finish import finish_images
from storage.ledger.images.leases import lease_images
from storage.ledger.images.reaper import close_jobs
from storage.ledger.jobs.changes import retry_failed
from storage.ledger.webhooks.endpoints import create_endpoint
from storage.records import Counts, JobState
from tests.shop import Clock, Shop, failed, succeeded


def test_waiting_images_fail_at_the_deadline_and_running_ones_continue(shop: Shop, clock: Clock, db: Database) -> None:
    endpoint, _ = create_endpoint(db, shop.tenant, "https://shop.example/hook")
    job = shop.submit(4, deadline=clock() + timedelta(seconds=60), webhook=endpoint.id)
    ids = shop.image_ids(job.id)
    token, _ = lease_images(db, ids[:1], worker="w", lease_s=600)
    clock.advance(59)
    assert len(fail_late_images(db)) == 0
    clock.advance(1)
    # No image begins any more, even before the next tick of the dispatcher.
    assert lease_images(db, ids, worker="w", lease_s=60)[1] == []
    assert take_shards(db, depth=10, shard_size=4, publish_timeout_s=120).shards == []
    assert len(fail_late_images(db)) == 3
    assert len(fail_late_images(db)) == 0
    assert finish_images(db, token, [succeeded(ids[0])], max_attempts=3) == {ids[0]}
    assert close_jobs(db) == [job.id]
    done = shop.job(job.id)
    assert (done.state, done.counts) == (JobState.COMPLETED, Counts(succeeded=1, failed=3))
    assert done.counts == shop.count_images(job.id)
    assert {image.error_code for image in shop.images(job.id)[1:]} == {"deadline_passed"}
    assert [event["type"] for event in shop.events(job.id)] == ["image.failed"] * 3 + ["job.completed"]


def test_an_image_that_would_be_tried_again_after_the_deadline_is_not(shop: Shop, clock: Clock, db: Database) -> None:
    job = shop.submit(1, deadline=clock() + timedelta(seconds=10))
    (image_id,) = shop.image_ids(job.id)
    token, _ = lease_images(db, [image_id], worker="w", lease_s=60)
    clock.advance(20)
    finish_images(db, token, [failed(image_id, retry=True)], max_attempts=3)
    assert len(fail_late_images(db)) == 1
    assert shop.image(image_id).error_code == "deadline_passed"


def test_jobs_without_a_deadline_wait_as_long_as_it_takes(shop: Shop, clock: Clock, db: Database) -> None:
    shop.submit(2)
    clock.advance(10 * 24 * 3600)
    assert len(fail_late_images(db)) == 0


def test_a_retry_of_what_came_too_late_has_no_deadline(shop: Shop, clock: Clock, db: Database) -> None:
    job = shop.submit(2, deadline=clock() + timedelta(seconds=10))
    clock.advance(20)
    fail_late_images(db)
    close_jobs(db)
    again = retry_failed(db, shop.tenant, job.id).made
    assert (again.deadline, again.counts) == (None, Counts(queued=2))
    assert len(fail_late_images(db)) == 0
    assert len(lease_images(db, shop.image_ids(job.id), worker="w", lease_s=60)[1]) == 2


def test_thousands_of_late_images_fail_in_batches(shop: Shop, clock: Clock, db: Database) -> None:
    job = shop.submit(2500, deadline=clock() + timedelta(seconds=10))
    clock.advance(10)
    assert len(fail_late_images(db)) == 2500
    assert shop.job(job.id).counts == Counts(failed=2500)
