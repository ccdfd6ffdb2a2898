"""Submitting, reading and canceling jobs."""

from __future__ import annotations

from datetime import UTC, timedelta

import pytest
from sqlalchemy import event, func, select

from cleanplate.base.masks import FileMask
from cleanplate.base.options import JobOptions
from storage.database import Database
from storage.errors import NotFound, UploadUnknown
from storage.ledger.images.finish import finish_images
from storage.ledger.images.leases import heartbeat, lease_images
from storage.ledger.images.reaper import close_jobs, fold_deltas
from storage.ledger.jobs.changes import cancel_job
from storage.ledger.jobs.filters import ImageFilter
from storage.ledger.jobs.reading import get_image, get_job, list_images, list_jobs
from storage.ledger.jobs.submission import submit_job
from storage.ledger.tenants.uploads import create_uploads
from storage.ledger.webhooks.endpoints import create_endpoint, delete_endpoint
from storage.records import Counts, ImageState, JobState, NewImage, NewJob
from storage.tables import attempts, images, jobs
from tests.shop import RIGHTS, Clock, Shop, failed, succeeded


def test_uploads_keep_the_order_and_have_keys_of_the_tenant(shop: Shop, clock: Clock) -> None:
    files = [(f"{n}.jpg", "image/jpeg") for n in range(2500)]
    uploads = create_uploads(shop.db, shop.tenant, files, expires_in_s=60)
    assert [upload.filename for upload in uploads] == [name for name, _ in files]
    assert len({upload.id for upload in uploads}) == 2500
    assert all(upload.key == f"t/{shop.tenant}/uploads/{upload.id}" for upload in uploads)
    assert {upload.expires_at for upload in uploads} == {clock.time + timedelta(seconds=60)}


def test_a_submitted_job_is_queued_with_all_its_images(shop: Shop, clock: Clock) -> None:
    job = shop.submit(3)
    assert job == shop.job(job.id)
    assert (job.state, job.total, job.counts, job.options) == (
        JobState.QUEUED,
        3,
        Counts(queued=3),
        JobOptions(dilation_px=4),
    )
    assert (job.created_at, job.started_at, job.images_per_second, job.eta_s) == (clock.time, None, None, None)
    listed = shop.images(job.id)
    assert [image.position for image in listed] == [0, 1, 2]
    assert [image.name for image in listed] == ["0.jpg", "1.jpg", "2.jpg"]
    assert {image.mask_key for image in listed} != {image.source_key for image in listed}
    assert all(image.state is ImageState.QUEUED and image.attempt == 0 for image in listed)


def test_an_image_may_have_a_mask_of_its_own(shop: Shop) -> None:
    photo, mask, other = create_uploads(shop.db, shop.tenant, [("a", "image/png")] * 3, expires_in_s=60)
    own = NewImage(name="own", source_upload_id=photo.id, mask=FileMask(upload_id=other.id))
    shared = NewImage(name="shared", source_upload_id=photo.id)
    job = submit_job(
        shop.db, shop.tenant, NewJob(images=[own, shared], mask=FileMask(upload_id=mask.id), rights=RIGHTS)
    )
    assert [image.mask_key for image in shop.images(job.id)] == [other.key, mask.key]
    with pytest.raises(ValueError, match="mask"):
        submit_job(shop.db, shop.tenant, NewJob(images=[own, shared], rights=RIGHTS))


def test_unknown_expired_and_foreign_uploads_are_refused_and_nothing_is_written(
    shop: Shop, rival: Shop, clock: Clock
) -> None:
    good, mask = create_uploads(shop.db, shop.tenant, [("a", "image/png")] * 2, expires_in_s=3600)
    (stale,) = create_uploads(shop.db, shop.tenant, [("a", "image/png")], expires_in_s=60)
    (foreign,) = create_uploads(rival.db, rival.tenant, [("a", "image/png")], expires_in_s=3600)
    clock.advance(60)
    for bad in ("upl_none", stale.id, foreign.id):
        for source, masking in ((bad, mask.id), (good.id, bad)):
            image = NewImage(name="a", source_upload_id=source)
            with pytest.raises(UploadUnknown) as caught:
                submit_job(
                    shop.db, shop.tenant, NewJob(images=[image], mask=FileMask(upload_id=masking), rights=RIGHTS)
                )
            assert caught.value.identifiers == [bad]
    with shop.db.read() as connection:
        assert connection.scalar(select(func.count()).select_from(jobs)) == 0
        assert connection.scalar(select(func.count()).select_from(images)) == 0


def test_a_job_without_images_is_refused(shop: Shop) -> None:
    with pytest.raises(ValueError, match="at least one"):
        submit_job(shop.db, shop.tenant, NewJob(images=[], rights=RIGHTS))


def test_foreign_and_deleted_webhook_endpoints_are_not_found(shop: Shop, rival: Shop) -> None:
    foreign, _ = create_endpoint(rival.db, rival.tenant, "https://rival.example")
    mine, _ = create_endpoint(shop.db, shop.tenant, "https://shop.example")
    assert shop.submit(webhook=mine.id).webhook_endpoint_id == mine.id
    delete_endpoint(shop.db, shop.tenant, mine.id)
    for endpoint in (foreign.id, mine.id, "whe_none"):
        with pytest.raises(NotFound):
            shop.submit(webhook=endpoint)


def test_other_tenants_find_nothing(shop: Shop, rival: Shop) -> None:
    job = shop.submit()
    image_id = shop.image_ids(job.id)[0]
    with pytest.raises(NotFound):
        get_job(rival.db, rival.tenant, job.id)
    with pytest.raises(NotFound):
        list_images(rival.db, rival.tenant, job.id, limit=10, after=None)
    with pytest.raises(NotFound):
        get_image(rival.db, rival.tenant, image_id)
    with pytest.raises(NotFound):
        cancel_job(rival.db, rival.tenant, job.id)
    assert list_jobs(rival.db, rival.tenant, limit=10, after=None) == []
    assert shop.job(job.id).state is JobState.QUEUED


def test_jobs_are_listed_newest_first_in_pages(shop: Shop, rival: Shop) -> None:
    created = [shop.submit(1).id for _ in range(5)]
    rival.submit(1)
    first = list_jobs(shop.db, shop.tenant, limit=3, after=None)
    rest = list_jobs(shop.db, shop.tenant, limit=3, after=first[-1].id)
    assert [job.id for job in first + rest] == created[::-1]
    assert all(job.counts == Counts(queued=1) for job in first)


def test_images_are_listed_in_pages_and_by_state(shop: Shop) -> None:
    job = shop.submit(5)
    first = list_images(shop.db, shop.tenant, job.id, limit=3, after=None)
    rest = list_images(shop.db, shop.tenant, job.id, limit=3, after=first[-1].position)
    assert [image.position for image in first + rest] == [0, 1, 2, 3, 4]
    lease_images(shop.db, [first[1].id], worker="w", lease_s=60)
    running = list_images(shop.db, shop.tenant, job.id, limit=3, after=None, only=ImageFilter(state=ImageState.RUNNING))
    assert [image.id for image in running] == [first[1].id]


def test_ten_thousand_images_are_submitted_in_few_statements(shop: Shop) -> None:
    files = [(f"{n}.jpg", "image/jpeg") for n in range(10_000)]
    uploads = create_uploads(shop.db, shop.tenant, files, expires_in_s=60)
    new = NewJob(
        images=[NewImage(name=upload.filename, source_upload_id=upload.id) for upload in uploads],
        mask=FileMask(upload_id=uploads[0].id),
        rights=RIGHTS,
    )
    statements = []
    event.listen(shop.db.engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    job = submit_job(shop.db, shop.tenant, new)
    assert job.counts == Counts(queued=10_000)
    # Ten to look the uploads up, ten to note their use, ten to insert the images, and a few for the job.
    assert len(statements) < 40
    assert shop.count_images(job.id) == job.counts
    assert [image.position for image in shop.images(job.id)] == list(range(10_000))


def test_progress_counts_tiles_of_images_under_way_and_ended(shop: Shop) -> None:
    job = shop.submit(3)
    first, second, _ = shop.image_ids(job.id)
    token, _ = lease_images(shop.db, [first, second], worker="w", lease_s=60)
    heartbeat(shop.db, token, lease_s=60, progress={first: (3, 7), second: (2, 4)})
    assert shop.job(job.id).tiles_done == 5
    finish_images(shop.db, token, [succeeded(first, tiles=7)], max_attempts=3)
    assert shop.job(job.id).tiles_done == 9
    fold_deltas(shop.db)
    assert shop.job(job.id).tiles_done == 9


def test_throughput_and_time_left(shop: Shop, clock: Clock) -> None:
    job = shop.submit(4)
    token, _ = lease_images(shop.db, shop.image_ids(job.id), worker="w", lease_s=600)
    clock.advance(10)
    finish_images(shop.db, token, [succeeded(image) for image in shop.image_ids(job.id)[:2]], max_attempts=3)
    half = shop.job(job.id)
    assert (half.images_per_second, half.eta_s) == (0.2, 10)
    clock.advance(10)
    finish_images(shop.db, token, [succeeded(image) for image in shop.image_ids(job.id)[2:]], max_attempts=3)
    close_jobs(shop.db)
    clock.advance(1000)
    whole = shop.job(job.id)
    assert (whole.state, whole.images_per_second, whole.eta_s) == (JobState.COMPLETED, 0.2, 0)


def test_canceling_stops_what_is_queued_and_running_and_keeps_what_ended(shop: Shop, clock: Clock) -> None:
    job = shop.submit(4)
    done, running, *_ = shop.image_ids(job.id)
    token, _ = lease_images(shop.db, [done, running], worker="w", lease_s=60)
    finish_images(shop.db, token, [succeeded(done)], max_attempts=3)
    clock.advance(5)
    canceled = cancel_job(shop.db, shop.tenant, job.id)
    assert (canceled.state, canceled.finished_at) == (JobState.CANCELED, clock.time)
    assert canceled.counts == Counts(succeeded=1, canceled=3) == shop.count_images(job.id)
    assert canceled.eta_s == 0
    # The worker that holds the image notices, and can no longer end it.
    assert heartbeat(shop.db, token, lease_s=60, progress={running: (1, 2)}) == set()
    assert finish_images(shop.db, token, [succeeded(running), failed(running)], max_attempts=3) == set()
    assert lease_images(shop.db, shop.image_ids(job.id), worker="w", lease_s=60)[1] == []
    assert shop.job(job.id).counts == canceled.counts
    with shop.db.read() as connection:
        outcomes = connection.execute(select(attempts.c.image_id, attempts.c.outcome)).all()
    assert {row.image_id: row.outcome for row in outcomes} == {done: "succeeded", running: "canceled"}


def test_canceling_twice_changes_nothing(shop: Shop, clock: Clock) -> None:
    job = shop.submit(2)
    first = cancel_job(shop.db, shop.tenant, job.id)
    clock.advance(5)
    assert cancel_job(shop.db, shop.tenant, job.id) == first
    assert close_jobs(shop.db) == []


def test_canceling_a_job_whose_images_have_ended_leaves_it_to_complete(shop: Shop) -> None:
    job = shop.submit(1)
    token, _ = lease_images(shop.db, shop.image_ids(job.id), worker="w", lease_s=60)
    finish_images(shop.db, token, [succeeded(shop.image_ids(job.id)[0])], max_attempts=3)
    assert cancel_job(shop.db, shop.tenant, job.id).state is JobState.RUNNING
    assert close_jobs(shop.db) == [job.id]
    assert cancel_job(shop.db, shop.tenant, job.id).state is JobState.COMPLETED


def test_the_servers_own_clock_is_used_where_none_is_given(database: Database) -> None:
    with database.write() as connection:
        read = connection.scalar(select(database.now()))
        later = connection.scalar(select(database.after(90)))
        if database.on_postgres:
            assert read == connection.scalar(select(func.now()))
    assert read is not None
    assert read.tzinfo is UTC
    assert later is not None
    assert timedelta(seconds=89) < later - read < timedelta(seconds=91)
