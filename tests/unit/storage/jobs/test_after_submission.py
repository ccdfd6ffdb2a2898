"""A job after its submission: retry, deletion, expiry; and the fate of its files."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from cleanplate.base.masks import FileMask
from storage.database import Database
from storage.errors import JobCanceled, NotFound, QuotaExceeded
from storage.ledger.images.finish import finish_images
from storage.ledger.images.leases import heartbeat, lease_images
from storage.ledger.images.reaper import close_jobs, fold_deltas
from storage.ledger.jobs.changes import cancel_job, retry_failed
from storage.ledger.jobs.filters import JobFilter
from storage.ledger.jobs.reading import list_jobs
from storage.ledger.jobs.submission import submit_job
from storage.ledger.operations.audit import chain, chained_entries
from storage.ledger.retention.blobs import claim_blob_deletions, forget_blob_deletions
from storage.ledger.retention.deletion import delete_job
from storage.ledger.retention.expiry import drop_expired_uploads, expired_jobs
from storage.ledger.tenants.quotas import set_quota
from storage.ledger.tenants.uploads import create_uploads
from storage.ledger.webhooks.endpoints import create_endpoint
from storage.ledger.webhooks.relay import relay_events
from storage.records import Counts, ImageState, Job, JobState, NewImage, NewJob, Outcome, Quota
from storage.tables import metadata, uploads
from tests.shop import RIGHTS, Clock, Shop, failed, succeeded

A_WHILE_S = 3600.0


def end(shop: Shop, job: Job, outcomes: Iterable[Outcome]) -> None:
    token, _ = lease_images(shop.db, shop.image_ids(job.id), worker="w", lease_s=60)
    finish_images(shop.db, token, list(outcomes), max_attempts=1)
    close_jobs(shop.db)


def ended(shop: Shop, images: int = 3, *, good: int = 1, **fields: object) -> Job:
    """A completed job whose first ``good`` images succeeded and whose others failed."""
    job = shop.submit(images, **fields)
    ids = shop.image_ids(job.id)
    end(shop, job, [succeeded(i) for i in ids[:good]] + [failed(i) for i in ids[good:]])
    return shop.job(job.id)


def rows(db: Database) -> dict[str, int]:
    with db.read() as connection:
        return {
            name: connection.scalar(select(func.count()).select_from(table)) or 0
            for name, table in metadata.tables.items()
        }


def test_a_retry_queues_what_failed_and_nothing_else(shop: Shop, clock: Clock) -> None:
    job = ended(shop, 3, good=1)
    assert (job.state, job.counts) == (JobState.COMPLETED, Counts(succeeded=1, failed=2))
    again = retry_failed(shop.db, shop.tenant, job.id, actor="key:k").made
    assert (again.state, again.counts, again.finished_at) == (JobState.RUNNING, Counts(succeeded=1, queued=2), None)
    first, second, third = shop.images(job.id)
    assert first.state is ImageState.SUCCEEDED
    assert [(image.state, image.error_code, image.finished_at) for image in (second, third)] == [
        (ImageState.QUEUED, None, None)
    ] * 2
    assert shop.count_images(job.id) == again.counts
    end(shop, job, [succeeded(second.id), failed(third.id)])
    fold_deltas(shop.db)
    assert (shop.job(job.id).state, shop.job(job.id).counts) == (JobState.COMPLETED, Counts(succeeded=2, failed=1))
    assert shop.image(second.id).attempt == 2
    chain(shop.db)
    retried = [entry for entry in chained_entries(shop.db) if entry.action == "job.retried"]
    assert [(entry.actor, entry.data) for entry in retried] == [("key:k", {"images": 2})]


def test_each_end_of_a_retried_job_is_told(shop: Shop) -> None:
    endpoint, _ = create_endpoint(shop.db, shop.tenant, "https://shop.example")
    job = ended(shop, 1, good=0, webhook=endpoint.id)
    retry_failed(shop.db, shop.tenant, job.id)
    end(shop, job, [succeeded(shop.image_ids(job.id)[0])])
    assert [told["type"] for told in shop.events(job.id)] == ["image.failed", "job.completed", "job.completed"]


def test_a_retry_without_failures_changes_nothing(shop: Shop) -> None:
    done, waiting = ended(shop, 2, good=2), shop.submit(1)
    assert retry_failed(shop.db, shop.tenant, done.id).made == shop.job(done.id) == done
    assert retry_failed(shop.db, shop.tenant, waiting.id).made.state is JobState.QUEUED


def test_a_retry_while_others_run_gives_the_failed_another_try(shop: Shop) -> None:
    job = shop.submit(2)
    first, _ = shop.image_ids(job.id)
    token, _ = lease_images(shop.db, [first], worker="w", lease_s=60)
    finish_images(shop.db, token, [failed(first)], max_attempts=1)
    assert retry_failed(shop.db, shop.tenant, job.id).made.counts == Counts(queued=2)
    assert close_jobs(shop.db) == []


def test_invalid_retries_are_refused(shop: Shop, rival: Shop) -> None:
    job = ended(shop, 1, good=0)
    with pytest.raises(NotFound):
        retry_failed(rival.db, rival.tenant, job.id)
    set_quota(shop.db, shop.tenant, Quota(images_per_day=1))
    with pytest.raises(QuotaExceeded):
        retry_failed(shop.db, shop.tenant, job.id)
    assert shop.job(job.id) == job
    canceled = rival.submit(2)
    token, _ = lease_images(rival.db, rival.image_ids(canceled.id)[:1], worker="w", lease_s=60)
    finish_images(rival.db, token, [failed(rival.image_ids(canceled.id)[0])], max_attempts=1)
    cancel_job(rival.db, rival.tenant, canceled.id)
    with pytest.raises(JobCanceled):
        retry_failed(rival.db, rival.tenant, canceled.id)


@pytest.fixture(params=["at once", "in parts"])
def deleted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job's rows are deleted by one statement of a kind, or by several."""
    if request.param == "in parts":
        for number in ("retention.deletion._READ", "retention.deletion.", "lifecycle.images._DELETED"):
            monkeypatch.setattr(f"storage.ledger.{number}_AT_ONCE", 1)


@pytest.mark.usefixtures("deleted")
def test_a_deleted_job_leaves_nothing_but_its_story(shop: Shop, rival: Shop, clock: Clock) -> None:
    endpoint, _ = create_endpoint(shop.db, shop.tenant, "https://shop.example")
    job = ended(shop, 3, good=1, webhook=endpoint.id)
    with pytest.raises(NotFound):
        delete_job(rival.db, rival.tenant, job.id)
    keys = {image.source_key for image in shop.images(job.id)} | {shop.images(job.id)[0].mask_key}
    delete_job(shop.db, shop.tenant, job.id, actor="key:k")
    with pytest.raises(NotFound):
        shop.job(job.id)
    with pytest.raises(NotFound):
        delete_job(shop.db, shop.tenant, job.id)
    assert drop_expired_uploads(shop.db) == 4
    relay_events(shop.db)  # pending events of the job are dropped
    kept = {name for name, count in rows(shop.db).items() if count}
    assert kept == {"tenants", "usage", "account_deltas", "webhook_endpoints", "blob_deletions", "audit_log"}

    assert claim_blob_deletions(shop.db, claim_s=60) == {}  # a worker may still be writing
    clock.advance(A_WHILE_S)
    claimed = claim_blob_deletions(shop.db, claim_s=60)
    assert {deletion.key for deletion in claimed.values()} == keys | {f"t/{shop.tenant}/jobs/{job.id}/"}
    assert claim_blob_deletions(shop.db, claim_s=60) == {}
    clock.advance(60)  # the claiming process died
    assert claim_blob_deletions(shop.db, claim_s=60) == claimed
    forget_blob_deletions(shop.db, list(claimed))
    clock.advance(60)
    assert claim_blob_deletions(shop.db, claim_s=60) == {}

    chain(shop.db)
    last = list(chained_entries(shop.db, shop.tenant))[-1]
    assert (last.action, last.actor, last.job_id, last.data) == ("job.deleted", "key:k", job.id, {"images": 3})


def test_a_worker_of_a_deleted_job_finds_its_lease_gone(shop: Shop) -> None:
    job = shop.submit(1)
    (image,) = shop.image_ids(job.id)
    token, _ = lease_images(shop.db, [image], worker="w", lease_s=60)
    delete_job(shop.db, shop.tenant, job.id)
    assert heartbeat(shop.db, token, lease_s=60, progress={image: (1, 2)}) == set()
    assert finish_images(shop.db, token, [succeeded(image)], max_attempts=1) == set()
    assert fold_deltas(shop.db).rows == 0


@pytest.mark.usefixtures("deleted")
def test_an_upload_stays_while_any_job_uses_it(shop: Shop, clock: Clock) -> None:
    first_photo, second_photo, mask = create_uploads(shop.db, shop.tenant, [("a", "image/png")] * 3, expires_in_s=60)
    jobs = [
        submit_job(
            shop.db,
            shop.tenant,
            NewJob(
                images=[NewImage(name="a", source_upload_id=photo.id)] * 2,
                mask=FileMask(upload_id=mask.id),
                rights=RIGHTS,
            ),
        )
        for photo in (first_photo, second_photo)
    ]
    clock.advance(61)
    assert drop_expired_uploads(shop.db) == 0
    delete_job(shop.db, shop.tenant, jobs[0].id)
    assert drop_expired_uploads(shop.db) == 1
    with shop.db.read() as connection:
        left = {row.id: row.uses for row in connection.execute(select(uploads.c.id, uploads.c.uses))}
    assert left == {second_photo.id: 1, mask.id: 1}
    delete_job(shop.db, shop.tenant, jobs[1].id)
    assert drop_expired_uploads(shop.db) == 2


def test_uploads_that_no_job_used_are_dropped_when_they_expire(shop: Shop, clock: Clock) -> None:
    create_uploads(shop.db, shop.tenant, [("a", "image/png")] * 250, expires_in_s=60)
    clock.advance(59)
    assert drop_expired_uploads(shop.db) == 0
    clock.advance(1)
    assert drop_expired_uploads(shop.db) == 250
    clock.advance(A_WHILE_S)
    assert len(claim_blob_deletions(shop.db, claim_s=60)) == 100
    assert rows(shop.db)["blob_deletions"] == 250


def test_a_job_expires_so_long_after_its_end(shop: Shop, clock: Clock) -> None:
    completed = ended(shop, 1, retention_s=100)
    assert completed.expires_at == clock.time + timedelta(seconds=100)
    canceled = shop.submit(1, retention_s=50)
    assert canceled.expires_at is None
    canceled = cancel_job(shop.db, shop.tenant, canceled.id)
    kept, waiting = ended(shop, 1), shop.submit(1, retention_s=10)
    clock.advance(50)
    assert expired_jobs(shop.db) == [(shop.tenant, canceled.id)]
    clock.advance(50)
    assert [job_id for _, job_id in expired_jobs(shop.db)] == [canceled.id, completed.id]
    assert (kept.expires_at, shop.job(waiting.id).expires_at) == (None, None)


def test_a_retried_job_does_not_expire_while_it_is_open(shop: Shop, clock: Clock) -> None:
    job = ended(shop, 1, good=0, retention_s=100)
    clock.advance(100)
    assert retry_failed(shop.db, shop.tenant, job.id).made.expires_at is None
    assert expired_jobs(shop.db) == []
    end(shop, job, [succeeded(shop.image_ids(job.id)[0])])
    assert shop.job(job.id).expires_at == clock.time + timedelta(seconds=100)


def test_jobs_are_listed_by_state(shop: Shop) -> None:
    done, waiting = ended(shop, 1), shop.submit(1)
    for state, expected in ((JobState.COMPLETED, [done.id]), (JobState.QUEUED, [waiting.id]), (JobState.CANCELED, [])):
        assert [
            job.id for job in list_jobs(shop.db, shop.tenant, limit=9, after=None, only=JobFilter(state=state))
        ] == expected
