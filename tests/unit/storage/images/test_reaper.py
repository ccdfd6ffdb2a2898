"""Expired leases, folded counts and closed jobs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import func, insert, select

from storage.database import Database
from storage.ledger.images.finish import finish_images
from storage.ledger.images.leases import lease_images
from storage.ledger.images.reaper import close_jobs, fold_deltas, reap_leases
from storage.ledger.jobs.changes import cancel_job
from storage.ledger.tenants.tenants import ensure_tenant
from storage.ledger.webhooks.endpoints import create_endpoint
from storage.records import Counts, ImageState, JobState
from storage.tables import job_deltas, jobs
from tests.shop import Clock, Shop, failed, succeeded


def deltas(db: Database) -> int:
    with db.read() as connection:
        return connection.scalar(select(func.count()).select_from(job_deltas)) or 0


def end_all(shop: Shop, job_id: str) -> None:
    ids = shop.image_ids(job_id)
    token, _ = lease_images(shop.db, ids, worker="w", lease_s=60)
    finish_images(shop.db, token, [succeeded(image_id) for image_id in ids], max_attempts=3)


def test_expired_lease_is_reclaimed_once(shop: Shop, clock: Clock) -> None:
    job = shop.submit(3)
    lost, *_, alive = shop.image_ids(job.id)
    lease_images(shop.db, [lost], worker="w", lease_s=30)
    lease_images(shop.db, [alive], worker="w", lease_s=90)
    clock.advance(60)
    assert reap_leases(shop.db, max_attempts=3).counts == (1, 0)
    assert reap_leases(shop.db, max_attempts=3).counts == (0, 0)
    assert shop.image(lost).state is ImageState.QUEUED
    assert shop.image(alive).state is ImageState.RUNNING
    assert shop.job(job.id).counts == Counts(queued=2, running=1) == shop.count_images(job.id)


def test_an_image_that_loses_every_worker_fails_with_an_event(shop: Shop, clock: Clock) -> None:
    endpoint, _ = create_endpoint(shop.db, shop.tenant, "https://shop.example")
    job = shop.submit(1, webhook=endpoint.id)
    (image,) = shop.image_ids(job.id)
    for _ in range(2):
        lease_images(shop.db, [image], worker="w", lease_s=30)
        clock.advance(31)
        last = reap_leases(shop.db, max_attempts=2)
    assert (last.requeued, last.failed) == ([], [(job.id, image)])
    dead = shop.image(image)
    assert (dead.state, dead.error_code, dead.attempt) == (ImageState.FAILED, "worker_lost", 2)
    assert dead.error_detail
    (event,) = shop.events(job.id)
    assert event == {
        "type": "image.failed",
        "timestamp": clock.time.isoformat(),
        "sequence": 1,
        "data": {
            "id": image,
            "job_id": job.id,
            "name": "0.jpg",
            "path": None,
            "custom_id": None,
            "error": {"code": "worker_lost", "detail": dead.error_detail},
        },
    }
    assert close_jobs(shop.db) == [job.id]


def test_more_expired_leases_than_one_batch_are_all_reclaimed(shop: Shop, clock: Clock) -> None:
    job = shop.submit(1100)
    lease_images(shop.db, shop.image_ids(job.id), worker="w", lease_s=30)
    clock.advance(31)
    assert reap_leases(shop.db, max_attempts=3).counts == (1100, 0)


def test_folding_moves_counts_and_leaves_their_sum(shop: Shop) -> None:
    job = shop.submit(3)
    first, second, _ = shop.image_ids(job.id)
    token, _ = lease_images(shop.db, [first, second], worker="w", lease_s=60)
    finish_images(shop.db, token, [failed(first)], max_attempts=3)
    before = shop.job(job.id)
    assert before.counts == Counts(queued=1, running=1, failed=1)
    assert deltas(shop.db) == fold_deltas(shop.db).rows == 2
    assert deltas(shop.db) == fold_deltas(shop.db).rows == 0
    assert shop.job(job.id) == before
    with shop.db.read() as connection:
        row = connection.execute(select(jobs.c.queued, jobs.c.running, jobs.c.failed)).one()
    assert tuple(row) == (1, 1, 1)


def test_threads_that_fold_and_write_at_once_lose_no_row(database: Database) -> None:
    shop = Shop(database, ensure_tenant(database, "shop"))
    created = [shop.submit(1).id for _ in range(3)]

    def write(_: int) -> None:
        for job_id in created:
            with database.write() as connection:
                connection.execute(insert(job_deltas).values(job_id=job_id, tiles_done=1))

    with ThreadPoolExecutor(8) as pool:
        writers = [pool.submit(write, number) for number in range(40)]
        folders = [pool.submit(fold_deltas, database) for _ in range(40)]
        for task in writers:
            task.result()
        folded = sum(task.result().rows for task in folders) + fold_deltas(database).rows
    assert folded == 120
    assert [shop.job(job_id).tiles_done for job_id in created] == [40, 40, 40]


def test_more_deltas_than_one_batch_are_all_folded(shop: Shop) -> None:
    job = shop.submit(1)
    with shop.db.write() as connection:
        connection.execute(insert(job_deltas), [{"job_id": job.id, "tiles_done": 1}] * 2500)
    assert fold_deltas(shop.db).rows == 2500
    assert shop.job(job.id).tiles_done == 2500


def test_a_job_completes_when_its_last_image_has_ended(shop: Shop, clock: Clock) -> None:
    endpoint, _ = create_endpoint(shop.db, shop.tenant, "https://shop.example")
    job = shop.submit(2, webhook=endpoint.id)
    first, second = shop.image_ids(job.id)
    assert close_jobs(shop.db) == []
    token, _ = lease_images(shop.db, [first, second], worker="w", lease_s=60)
    finish_images(shop.db, token, [succeeded(first)], max_attempts=3)
    assert close_jobs(shop.db) == []
    finish_images(shop.db, token, [succeeded(second)], max_attempts=3)
    clock.advance(5)
    assert close_jobs(shop.db) == [job.id]
    assert close_jobs(shop.db) == []
    done = shop.job(job.id)
    assert (done.state, done.finished_at, done.eta_s) == (JobState.COMPLETED, clock.time, 0)
    assert shop.events(job.id) == [
        {
            "type": "job.completed",
            "timestamp": clock.time.isoformat(),
            "sequence": 1,
            "data": {
                "id": job.id,
                "name": None,
                "labels": [],
                "metadata": {},
                "parent_job_id": None,
                "state": "completed",
                "total": 2,
                "counts": {"queued": 0, "running": 0, "succeeded": 2, "skipped": 0, "failed": 0, "canceled": 0},
            },
        }
    ]


def test_folded_and_unfolded_counts_close_alike(shop: Shop) -> None:
    folded, unfolded, open_ = shop.submit(2), shop.submit(2), shop.submit(2)
    end_all(shop, folded.id)
    fold_deltas(shop.db)
    end_all(shop, unfolded.id)
    lease_images(shop.db, shop.image_ids(open_.id)[:1], worker="w", lease_s=60)
    assert close_jobs(shop.db) == [folded.id, unfolded.id]


def test_threads_close_a_job_exactly_once(database: Database) -> None:
    shop = Shop(database, ensure_tenant(database, "shop"))
    endpoint, _ = create_endpoint(database, shop.tenant, "https://shop.example")
    created = [shop.submit(1, webhook=endpoint.id).id for _ in range(5)]
    for job_id in created:
        end_all(shop, job_id)
    with ThreadPoolExecutor(8) as pool:
        closed = [job_id for ids in pool.map(lambda _: close_jobs(database), range(8)) for job_id in ids]
    assert sorted(closed) == created
    for job_id in created:
        assert [event["type"] for event in shop.events(job_id)] == ["job.completed"]


def test_a_canceled_job_tells_of_no_completion(shop: Shop) -> None:
    endpoint, _ = create_endpoint(shop.db, shop.tenant, "https://shop.example")
    job = shop.submit(2, webhook=endpoint.id)
    cancel_job(shop.db, shop.tenant, job.id)
    assert close_jobs(shop.db) == []
    assert [event["type"] for event in shop.events(job.id)] == ["job.canceled"]


def test_a_job_without_an_endpoint_writes_no_event(shop: Shop) -> None:
    job = shop.submit(1)
    end_all(shop, job.id)
    assert close_jobs(shop.db) == [job.id]
    assert shop.events(job.id) == []
