"""Two transactions on Postgres, the first stopped at its most awkward moment, the second then let loose.

(SQLite has one writer at a time, so its transactions cannot interleave.)
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import event

from storage.database import Database
from storage.ledger.images.deadlines import fail_late_images
from storage.ledger.images.dispatch import take_shards
from storage.ledger.images.finish import finish_images
from storage.ledger.images.leases import heartbeat, lease_images
from storage.ledger.images.reaper import close_jobs, fold_deltas, reap_leases
from storage.ledger.jobs.changes import cancel_job, retry_failed
from storage.ledger.jobs.redoing import review_images
from storage.ledger.templates.leases import finish_template
from storage.ledger.tenants.tenants import ensure_tenant
from storage.ledger.webhooks.deliveries import claim_deliveries, record_delivery
from storage.ledger.webhooks.endpoints import create_endpoint, delete_endpoint
from storage.ledger.webhooks.relay import relay_events
from storage.records import Counts, DeliveryState, ImageReview, ImageState, JobState
from tests.shop import Shop, failed, succeeded
from tests.unit.storage.templates.test_templates import auto_job, estimate_of, leased, made

DEADLINE_S = 30


class Stopped:
    """A call whose transaction stops before a statement, or before its commit, until it is let go."""

    def __init__(self, url: str, call: Callable[[Database], Any], before: str) -> None:
        self._db = Database.connect(url)
        self._reached, self._go = threading.Event(), threading.Event()
        if before == "COMMIT":
            event.listen(self._db.engine, "commit", lambda _: self._stop())
        else:
            event.listen(
                self._db.engine, "before_cursor_execute", lambda *sent: self._stop() if before in sent[2] else None
            )
        self._pool = ThreadPoolExecutor(1)
        self._result = self._pool.submit(call, self._db)
        assert self._reached.wait(DEADLINE_S), f"never came to {before!r}"

    def _stop(self) -> None:
        self._reached.set()
        assert self._go.wait(DEADLINE_S)

    def finish(self) -> Any:
        """Let the call continue; its answer."""
        self._go.set()
        try:
            return self._result.result(DEADLINE_S)
        finally:
            self._pool.shutdown()
            self._db.close()


def blocked_or_done(url: str, running: Future[Any]) -> None:
    """Wait until the call waits for a lock or has ended."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    deadline = time.monotonic() + DEADLINE_S
    with psycopg.connect(url, autocommit=True) as observer:
        while not running.done() and observer.execute(query).fetchone() == (0,):
            assert time.monotonic() < deadline, "neither blocked nor done"
            time.sleep(0.01)


def race(
    url: str, first: Callable[[Database], Any], second: Callable[[Database], Any], *, before: str = "COMMIT"
) -> tuple[Any, Any]:
    """Begin the second call while the first is stopped; the answers of both."""
    stopped = Stopped(url, first, before)
    with connected(url) as db, ThreadPoolExecutor(1) as pool:
        running = pool.submit(second, db)
        blocked_or_done(url, running)
        return stopped.finish(), running.result(DEADLINE_S)


@contextmanager
def connected(url: str) -> Iterator[Database]:
    db = Database.connect(url)
    yield db
    db.close()


@pytest.fixture
def pg_shop(postgres_url: str) -> Iterator[Shop]:
    with connected(postgres_url) as db:
        yield Shop(db, ensure_tenant(db, "shop"))


def lease_all(shop: Shop, job_id: str) -> Callable[[Database], str]:
    return lambda db: lease_images(db, shop.image_ids(job_id), worker="w", lease_s=60)[0]


def cancel(shop: Shop, job_id: str) -> Callable[[Database], Any]:
    return lambda db: cancel_job(db, shop.tenant, job_id)


def test_canceling_amid_a_lease_counts_what_was_leased(pg_shop: Shop, postgres_url: str) -> None:
    job = pg_shop.submit(3)
    token, canceled = race(postgres_url, lease_all(pg_shop, job.id), cancel(pg_shop, job.id))
    assert canceled.counts == Counts(canceled=3) == pg_shop.count_images(job.id) == pg_shop.job(job.id).counts
    assert heartbeat(pg_shop.db, token, lease_s=60, progress={}) == set()


def test_leasing_amid_a_cancellation_gives_nothing(pg_shop: Shop, postgres_url: str) -> None:
    job = pg_shop.submit(3)
    ids = pg_shop.image_ids(job.id)
    _, (_, leased) = race(
        postgres_url, cancel(pg_shop, job.id), lambda db: lease_images(db, ids, worker="w", lease_s=60)
    )
    assert leased == []
    assert pg_shop.job(job.id).counts == Counts(canceled=3) == pg_shop.count_images(job.id)


@pytest.mark.parametrize("cancel_first", [True, False])
def test_canceling_amid_a_finish_counts_each_image_once(
    pg_shop: Shop, postgres_url: str, *, cancel_first: bool
) -> None:
    job = pg_shop.submit(3)
    token = lease_all(pg_shop, job.id)(pg_shop.db)
    outcomes = [succeeded(image_id) for image_id in pg_shop.image_ids(job.id)[:2]]

    def finish(db: Database) -> set[str]:
        return finish_images(db, token, outcomes, max_attempts=3)

    calls = (cancel(pg_shop, job.id), finish) if cancel_first else (finish, cancel(pg_shop, job.id))
    race(postgres_url, *calls)
    expected = Counts(canceled=3) if cancel_first else Counts(succeeded=2, canceled=1)
    assert pg_shop.job(job.id).counts == expected == pg_shop.count_images(job.id)


def test_finishing_amid_the_reaping_of_the_lease_counts_once(pg_shop: Shop, postgres_url: str) -> None:
    job = pg_shop.submit(1)
    (image,) = pg_shop.image_ids(job.id)
    token, _ = lease_images(pg_shop.db, [image], worker="w", lease_s=0)
    reaped, finished = race(
        postgres_url,
        lambda db: reap_leases(db, max_attempts=3).counts,
        lambda db: finish_images(db, token, [succeeded(image)], max_attempts=3),
    )
    assert (reaped, finished) == ((1, 0), set())
    assert pg_shop.job(job.id).counts == Counts(queued=1) == pg_shop.count_images(job.id)


def test_reaping_amid_a_heartbeat_leaves_the_lease(pg_shop: Shop, postgres_url: str) -> None:
    job = pg_shop.submit(1)
    token, _ = lease_images(pg_shop.db, pg_shop.image_ids(job.id), worker="w", lease_s=0)
    held, reaped = race(
        postgres_url,
        lambda db: heartbeat(db, token, lease_s=60, progress={}),
        lambda db: reap_leases(db, max_attempts=3).counts,
    )
    assert (len(held), reaped) == (1, (0, 0))
    assert pg_shop.job(job.id).counts == Counts(running=1)


def test_a_reader_amid_a_fold_sees_each_change_once(pg_shop: Shop, postgres_url: str) -> None:
    job = pg_shop.submit(3)
    lease_all(pg_shop, job.id)(pg_shop.db)
    folded, read = race(postgres_url, fold_deltas, lambda _: pg_shop.job(job.id).counts)
    assert (folded.rows, read) == (1, Counts(running=3))
    assert pg_shop.job(job.id).counts == Counts(running=3)


def test_folding_amid_a_first_lease_waits_for_no_circle(pg_shop: Shop, postgres_url: str) -> None:
    first, second = pg_shop.submit(1), pg_shop.submit(1)
    lease_all(pg_shop, first.id)(pg_shop.db)
    race(postgres_url, lease_all(pg_shop, second.id), fold_deltas)
    fold_deltas(pg_shop.db)
    assert [pg_shop.job(job.id).counts for job in (first, second)] == [Counts(running=1)] * 2


def test_canceling_amid_the_closing_of_a_finished_job_leaves_it_completed(pg_shop: Shop, postgres_url: str) -> None:
    endpoint, _ = create_endpoint(pg_shop.db, pg_shop.tenant, "https://shop.example")
    job = pg_shop.submit(1, webhook=endpoint.id)
    token = lease_all(pg_shop, job.id)(pg_shop.db)
    finish_images(pg_shop.db, token, [succeeded(pg_shop.image_ids(job.id)[0])], max_attempts=3)
    race(postgres_url, close_jobs, cancel(pg_shop, job.id))
    assert pg_shop.job(job.id).state is JobState.COMPLETED
    assert [told["type"] for told in pg_shop.events(job.id)] == ["job.completed"]


def test_a_second_dispatcher_leaves_the_first_ones_images(pg_shop: Shop, postgres_url: str) -> None:
    pg_shop.submit(6)

    def take(db: Database) -> list[str]:
        shards = take_shards(db, depth=1, shard_size=3, publish_timeout_s=120).shards
        return [image_id for shard in shards for image_id in shard.image_ids]

    first, second = race(postgres_url, take, take)
    assert len(first) == 3
    assert not set(first) & set(second)


def test_an_endpoint_deleted_while_deliveries_are_made_takes_them_along(pg_shop: Shop, postgres_url: str) -> None:
    endpoint, _ = create_endpoint(pg_shop.db, pg_shop.tenant, "https://shop.example")
    job = pg_shop.submit(1, webhook=endpoint.id)
    token = lease_all(pg_shop, job.id)(pg_shop.db)
    finish_images(pg_shop.db, token, [failed(pg_shop.image_ids(job.id)[0])], max_attempts=3)
    collected, _ = race(
        postgres_url,
        relay_events,
        lambda db: delete_endpoint(db, pg_shop.tenant, endpoint.id),
        before="INSERT INTO webhook_deliveries",
    )
    assert collected == 1
    assert pg_shop.events(job.id) == []


def test_two_collectors_make_each_delivery_once(pg_shop: Shop, postgres_url: str) -> None:
    endpoint, _ = create_endpoint(pg_shop.db, pg_shop.tenant, "https://shop.example")
    job = pg_shop.submit(3, webhook=endpoint.id)
    token = lease_all(pg_shop, job.id)(pg_shop.db)
    finish_images(pg_shop.db, token, [failed(image) for image in pg_shop.image_ids(job.id)], max_attempts=3)
    race(postgres_url, relay_events, relay_events, before="INSERT INTO webhook_deliveries")
    assert [event["sequence"] for event in pg_shop.events(job.id)] == [1, 2, 3]


def test_an_endpoint_deleted_amid_an_event_hears_nothing(pg_shop: Shop, postgres_url: str) -> None:
    endpoint, _ = create_endpoint(pg_shop.db, pg_shop.tenant, "https://shop.example")
    job = pg_shop.submit(1, webhook=endpoint.id)
    token = lease_all(pg_shop, job.id)(pg_shop.db)
    (image,) = pg_shop.image_ids(job.id)
    finished, _ = race(
        postgres_url,
        lambda db: finish_images(db, token, [failed(image)], max_attempts=3),
        lambda db: delete_endpoint(db, pg_shop.tenant, endpoint.id),
        before="INSERT INTO webhook_outbox",
    )
    assert finished == {image}
    assert pg_shop.events(job.id) == []
    assert pg_shop.job(job.id).counts == Counts(failed=1)


def test_deleting_an_endpoint_amid_a_submission_waits_for_it(pg_shop: Shop, postgres_url: str) -> None:
    endpoint, _ = create_endpoint(pg_shop.db, pg_shop.tenant, "https://shop.example")
    job, _ = race(
        postgres_url,
        lambda db: Shop(db, pg_shop.tenant).submit(1, webhook=endpoint.id),
        lambda db: delete_endpoint(db, pg_shop.tenant, endpoint.id),
        before="INSERT INTO jobs",
    )
    assert pg_shop.job(job.id).webhook_endpoint_id is None


def test_deleting_an_endpoint_that_is_being_disabled_waits_for_no_circle(pg_shop: Shop, postgres_url: str) -> None:
    endpoint, _ = create_endpoint(pg_shop.db, pg_shop.tenant, "https://shop.example")
    job = pg_shop.submit(1, webhook=endpoint.id)
    token = lease_all(pg_shop, job.id)(pg_shop.db)
    finish_images(pg_shop.db, token, [failed(pg_shop.image_ids(job.id)[0])], max_attempts=3)
    relay_events(pg_shop.db)
    (delivery,) = claim_deliveries(pg_shop.db, limit=1, claim_s=60)

    def gone(db: Database) -> DeliveryState:
        return record_delivery(
            db,
            delivery.id,
            status=410,
            error=None,
            excerpt=None,
            seconds=0.1,
            schedule_s=(5.0,),
            retry_after_s=None,
            gone=True,
            disable_after_s=86_400.0,
        )

    recorded, _ = race(
        postgres_url,
        gone,
        lambda db: delete_endpoint(db, pg_shop.tenant, endpoint.id),
        before="UPDATE webhook_endpoints",
    )
    assert recorded is DeliveryState.FAILED
    assert pg_shop.events(job.id) == []


def test_retrying_amid_the_end_of_the_estimate_leaves_no_job_that_waits_for_ever(
    pg_shop: Shop, postgres_url: str
) -> None:
    job = auto_job(pg_shop, mask={"approve": "auto"}, deadline=datetime.now(UTC) - timedelta(minutes=1))
    template = estimate_of(pg_shop, job)
    token = leased(pg_shop.db, template.id)
    fail_late_images(pg_shop.db)
    close_jobs(pg_shop.db)
    assert pg_shop.job(job.id).state is JobState.COMPLETED
    retried, _ = race(
        postgres_url,
        lambda db: retry_failed(db, pg_shop.tenant, job.id),
        lambda db: finish_template(db, token, [made(template.id)]),
        before="UPDATE jobs",
    )
    assert retried.made.state is JobState.ESTIMATING
    assert pg_shop.job(job.id).state is JobState.QUEUED


def test_a_judgement_that_waits_for_a_row_is_written_to_the_row_as_it_is_then(pg_shop: Shop, postgres_url: str) -> None:
    job = pg_shop.submit(2)
    ids = pg_shop.image_ids(job.id)
    _, judged = race(
        postgres_url,
        lambda db: lease_images(db, ids, worker="w", lease_s=60),
        lambda db: review_images(db, pg_shop.tenant, ids, ImageReview.KEPT, "Sharp."),
        before="COMMIT",
    )
    assert judged == set(ids)
    for image in pg_shop.images(job.id):
        assert (image.state, image.review, image.review_note) == (ImageState.RUNNING, ImageReview.KEPT, "Sharp.")
