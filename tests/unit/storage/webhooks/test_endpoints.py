"""Webhook endpoints and deliveries."""

from __future__ import annotations

import base64
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from storage.database import Database
from storage.errors import NotFound
from storage.ledger.images.finish import finish_images
from storage.ledger.images.leases import lease_images
from storage.ledger.images.reaper import close_jobs
from storage.ledger.tenants.tenants import ensure_tenant
from storage.ledger.webhooks.deliveries import claim_deliveries, record_delivery
from storage.ledger.webhooks.endpoints import (
    create_endpoint,
    delete_endpoint,
    list_endpoints,
)
from storage.ledger.webhooks.relay import relay_events
from storage.records import Delivery, DeliveryState, JobState
from storage.tables import webhook_attempts, webhook_deliveries
from tests.shop import Clock, Shop, failed, succeeded

SCHEDULE_S = (5.0, 300.0)
DISABLE_AFTER_S = 3 * 86_400.0


def fail_images(shop: Shop, endpoint_id: str, jobs: int = 1, images: int = 1) -> str:
    """Jobs with an ``image.failed`` event for each of their images; the id of the last."""
    for _ in range(jobs):
        job = shop.submit(images, webhook=endpoint_id)
        ids = shop.image_ids(job.id)
        token, _ = lease_images(shop.db, ids, worker="w", lease_s=60)
        finish_images(shop.db, token, [failed(image_id) for image_id in ids], max_attempts=3)
    return job.id


def record(db: Database, delivery: Delivery, **said: Any) -> DeliveryState:
    answer: dict[str, Any] = {
        "status": None,
        "error": None,
        "excerpt": None,
        "seconds": 0.1,
        "schedule_s": SCHEDULE_S,
        "retry_after_s": None,
        "gone": False,
        "disable_after_s": DISABLE_AFTER_S,
    }
    return record_delivery(db, delivery.id, **answer | said)


def wait_s(shop: Shop, clock: Clock, delivery: Delivery) -> float:
    """Seconds until the next attempt."""
    query = select(webhook_deliveries.c.next_attempt_at).where(webhook_deliveries.c.id == delivery.id)
    with shop.db.read() as connection:
        due = connection.scalar(query)
    assert due is not None
    return float((due - clock.time) / timedelta(seconds=1))


def claim(db: Database, limit: int = 100) -> list[Delivery]:
    relay_events(db)
    return claim_deliveries(db, limit=limit, claim_s=60)


@pytest.fixture
def endpoint(shop: Shop) -> str:
    return create_endpoint(shop.db, shop.tenant, "https://shop.example/hook")[0].id


def test_endpoints_belong_to_their_tenant(shop: Shop, rival: Shop) -> None:
    made, secret = create_endpoint(shop.db, shop.tenant, "https://shop.example/hook")
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    assert list_endpoints(shop.db, shop.tenant) == [made]
    assert list_endpoints(rival.db, rival.tenant) == []
    with pytest.raises(NotFound):
        delete_endpoint(rival.db, rival.tenant, made.id)
    delete_endpoint(shop.db, shop.tenant, made.id)
    with pytest.raises(NotFound):
        delete_endpoint(shop.db, shop.tenant, made.id)
    assert list_endpoints(shop.db, shop.tenant) == []


def test_a_claimed_delivery_has_all_that_posting_needs(shop: Shop) -> None:
    made, secret = create_endpoint(shop.db, shop.tenant, "https://shop.example/hook")
    job_id = fail_images(shop, made.id)
    (delivery,) = claim(shop.db)
    assert (delivery.endpoint_id, delivery.url, delivery.secrets) == (made.id, made.url, (secret,))
    assert (delivery.event_type, delivery.payload["data"]["job_id"], delivery.attempts) == ("image.failed", job_id, 0)


def test_a_claim_holds_until_it_ends(shop: Shop, clock: Clock, endpoint: str) -> None:
    fail_images(shop, endpoint)
    (first,) = claim(shop.db)
    clock.advance(59)
    assert claim(shop.db) == []
    clock.advance(1)
    assert claim(shop.db) == [first]


def test_threads_claim_each_delivery_once(database: Database) -> None:
    shop = Shop(database, ensure_tenant(database, "shop"))
    made, _ = create_endpoint(database, shop.tenant, "https://shop.example/hook")
    fail_images(shop, made.id, jobs=40)
    with ThreadPoolExecutor(8) as pool:
        claimed = [delivery.id for many in pool.map(lambda _: claim(database, 7), range(16)) for delivery in many]
    assert Counter(claimed) == Counter(set(claimed))
    claimed += [delivery.id for delivery in claim(database)]
    assert len(set(claimed)) == len(claimed) == 40


def test_a_delivered_event_is_done(shop: Shop, clock: Clock, endpoint: str) -> None:
    fail_images(shop, endpoint)
    (delivery,) = claim(shop.db)
    assert record(shop.db, delivery, status=204) is DeliveryState.DELIVERED
    clock.advance(100_000)
    assert claim(shop.db) == []


def test_failures_follow_the_schedule_and_end(shop: Shop, clock: Clock, endpoint: str) -> None:
    fail_images(shop, endpoint)
    for attempt, wait in enumerate(SCHEDULE_S):
        (delivery,) = claim(shop.db)
        assert delivery.attempts == attempt
        assert record(shop.db, delivery, status=500, excerpt="x" * 900) is DeliveryState.PENDING
        assert wait <= wait_s(shop, clock, delivery) <= wait * 1.1
        clock.advance(wait * 1.1)
    (delivery,) = claim(shop.db)
    assert record(shop.db, delivery, error="timed out") is DeliveryState.FAILED
    clock.advance(100_000)
    assert claim(shop.db) == []
    with shop.db.read() as connection:
        rows = connection.execute(select(webhook_attempts).order_by(webhook_attempts.c.attempt)).all()
    assert [(row.attempt, row.status, row.error) for row in rows] == [
        (1, 500, None),
        (2, 500, None),
        (3, None, "timed out"),
    ]
    assert [len(row.excerpt or "") for row in rows] == [500, 500, 0]


def test_redirects_and_client_errors_are_failures(shop: Shop, clock: Clock, endpoint: str) -> None:
    fail_images(shop, endpoint, jobs=3)
    for delivery, status in zip(claim(shop.db), (301, 404, 199), strict=True):
        assert record(shop.db, delivery, status=status) is DeliveryState.PENDING


def test_a_receiver_may_ask_for_more_time_within_reason(shop: Shop, clock: Clock, endpoint: str) -> None:
    fail_images(shop, endpoint, jobs=3)
    for delivery, asked, wait in zip(claim(shop.db), (60.0, 1.0, 1e9), (60, 5, 86_400), strict=True):
        record(shop.db, delivery, status=429, retry_after_s=asked)
        assert wait <= wait_s(shop, clock, delivery) <= wait * 1.1


def test_a_receiver_that_is_gone_disables_its_endpoint(shop: Shop, clock: Clock, endpoint: str) -> None:
    fail_images(shop, endpoint, jobs=3)
    first, *_ = claim(shop.db)
    assert record(shop.db, first, status=410, gone=True) is DeliveryState.FAILED
    (listed,) = list_endpoints(shop.db, shop.tenant)
    assert listed.disabled_at == clock.time
    assert listed.disabled_reason
    clock.advance(100_000)
    assert claim(shop.db) == []
    # New events are kept for it and not posted, and its jobs go on.
    job_id = fail_images(shop, endpoint)
    assert [event["type"] for event in shop.events(job_id)] == ["image.failed"]
    assert claim(shop.db) == []
    assert close_jobs(shop.db)[-1] == job_id


def test_a_late_failure_does_not_undo_a_delivery(shop: Shop, clock: Clock, endpoint: str) -> None:
    fail_images(shop, endpoint)
    (slow,) = claim(shop.db)
    clock.advance(60)
    (quick,) = claim(shop.db)
    assert record(shop.db, quick, status=200) is DeliveryState.DELIVERED
    assert record(shop.db, slow, error="timed out") is DeliveryState.DELIVERED
    clock.advance(100_000)
    assert claim(shop.db) == []


def test_deleting_an_endpoint_takes_its_deliveries_and_leaves_its_jobs(shop: Shop, endpoint: str) -> None:
    job_id = fail_images(shop, endpoint)
    (under_way,) = claim(shop.db)
    delete_endpoint(shop.db, shop.tenant, endpoint)
    assert record(shop.db, under_way, status=200) is DeliveryState.FAILED
    assert shop.events(job_id) == []
    assert shop.job(job_id).webhook_endpoint_id is None
    assert close_jobs(shop.db) == [job_id]


def test_an_endpoint_with_many_deliveries_is_deleted_in_parts(
    shop: Shop, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.ledger.webhooks.endpoints._AT_ONCE", 2)
    fail_images(shop, endpoint, jobs=5)
    for delivery in claim(shop.db)[1:]:
        assert record(shop.db, delivery, status=200) is DeliveryState.DELIVERED
    delete_endpoint(shop.db, shop.tenant, endpoint)
    with shop.db.read() as connection:
        assert connection.execute(select(webhook_deliveries)).all() == []
    with pytest.raises(NotFound):
        delete_endpoint(shop.db, shop.tenant, endpoint)


def test_an_endpoint_deleted_amid_the_work_disturbs_nobody(database: Database) -> None:
    shop = Shop(database, ensure_tenant(database, "shop"))
    for _ in range(8):
        made, _ = create_endpoint(database, shop.tenant, "https://shop.example/hook")
        created = [shop.submit(4, webhook=made.id) for _ in range(2)]

        def work(job_id: str) -> None:
            for image_id in shop.image_ids(job_id):
                token, _ = lease_images(database, [image_id], worker="w", lease_s=60)
                finish_images(database, token, [failed(image_id)], max_attempts=3)
                for delivery in claim(database):
                    record(database, delivery, status=410, gone=True)
            close_jobs(database)

        with ThreadPoolExecutor(3) as pool:
            tasks = [pool.submit(work, job.id) for job in created]
            deletion = pool.submit(delete_endpoint, database, shop.tenant, made.id)
            for task in [*tasks, deletion]:
                task.result()
        close_jobs(database)
        assert [shop.job(job.id).state for job in created] == [JobState.COMPLETED] * 2
        assert [shop.events(job.id) for job in created] == [[], []]


def test_a_completed_job_is_told_after_its_images(shop: Shop, endpoint: str) -> None:
    job = shop.submit(2, webhook=endpoint)
    good, bad = shop.image_ids(job.id)
    token, _ = lease_images(shop.db, [good, bad], worker="w", lease_s=60)
    finish_images(shop.db, token, [succeeded(good), failed(bad)], max_attempts=3)
    close_jobs(shop.db)
    (first,) = claim(shop.db)
    assert (first.event_type, first.payload["data"]["id"], first.payload["sequence"]) == ("image.failed", bad, 1)
    record(shop.db, first, status=200)
    (second,) = claim(shop.db)
    assert (second.event_type, second.payload["sequence"]) == ("job.completed", 2)
