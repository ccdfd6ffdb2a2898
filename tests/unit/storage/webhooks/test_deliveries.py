"""Deliveries to endpoints: contents, order, attempts, and the disabling of an endpoint."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import event, func, select, update

from storage.database import Database
from storage.errors import NotFound, WebhookDisabled
from storage.ledger.images.finish import finish_images
from storage.ledger.images.leases import lease_images
from storage.ledger.images.reaper import close_jobs
from storage.ledger.jobs.changes import cancel_job
from storage.ledger.retention.deletion import delete_job
from storage.ledger.retention.expiry import drop_old_deliveries
from storage.ledger.webhooks.deliveries import (
    claim_deliveries,
    get_delivery,
    list_deliveries,
    record_delivery,
    recover,
    redeliver,
)
from storage.ledger.webhooks.endpoints import (
    change_endpoint,
    create_endpoint,
    delete_endpoint,
    get_endpoint,
    list_endpoints,
    ping,
    rotate_secret,
)
from storage.ledger.webhooks.outbox import wants
from storage.ledger.webhooks.relay import relay_events
from storage.records import Delivery, DeliveryState, EventFilter, ImageState, JobWebhook, Outcome
from storage.tables import jobs, webhook_outbox
from tests.shop import Clock, Shop, failed, succeeded

URL = "https://shop.example/hook"
DAY_S = 86_400.0


def endpoint(shop: Shop, *events: str) -> str:
    return create_endpoint(shop.db, shop.tenant, URL, [EventFilter(name) for name in events])[0].id


def claim(db: Database, **how: Any) -> list[Delivery]:
    relay_events(db)
    return claim_deliveries(db, limit=100, claim_s=60, **how)


def record(db: Database, delivery: Delivery, status: int) -> DeliveryState:
    return record_delivery(
        db,
        delivery.id,
        status=status,
        error=None,
        excerpt="said",
        seconds=0.1,
        schedule_s=(5.0, 300.0, 1800.0, 7200.0),
        retry_after_s=None,
        gone=status == 410,
        disable_after_s=3 * DAY_S,
    )


def end_all(shop: Shop, job_id: str, *, bad: int = 0, at_once: int = 100) -> list[str]:
    """All images of a job end, the first ``bad`` of them as failed; their ids."""
    ids = shop.image_ids(job_id)
    token, _ = lease_images(shop.db, ids, worker="w", lease_s=60)
    outcomes = [failed(image) if n < bad else succeeded(image) for n, image in enumerate(ids)]
    for start in range(0, len(outcomes), at_once):
        finish_images(shop.db, token, outcomes[start : start + at_once], max_attempts=1)
    return ids


def delivered(shop: Shop) -> list[dict[str, Any]]:
    """Post all deliveries successfully; the payloads in the order of posting."""
    payloads = []
    while claimed := claim(shop.db):
        for delivery in claimed:
            payloads.append(delivery.payload)
            record(shop.db, delivery, 204)
    return payloads


@pytest.mark.parametrize(
    ("filters", "event_type", "passes"),
    [
        (["job.*"], "job.completed", True),
        (["job.*"], "image.failed", False),
        (["image.failed"], "image.failed", True),
        (["image.failed"], "image.succeeded", False),
        (["image.*", "job.canceled"], "job.completed", False),
        (["*"], "webhook.disabled", True),
    ],
)
def test_filters_let_through_what_they_name(filters: list[str], event_type: str, passes: bool) -> None:
    assert wants(filters, event_type) is passes


def test_every_end_of_an_image_and_of_a_job_is_an_event(shop: Shop) -> None:
    job = shop.submit(3, webhook=endpoint(shop, "*"))
    good, bad, skipped = shop.image_ids(job.id)
    token, _ = lease_images(shop.db, [good, bad, skipped], worker="w", lease_s=60)
    nothing = Outcome(image_id=skipped, state=ImageState.SKIPPED, result_key="results/x")
    finish_images(shop.db, token, [succeeded(good), failed(bad), nothing], max_attempts=1)
    close_jobs(shop.db)
    payloads = delivered(shop)
    assert {event["type"] for event in payloads[:3]} == {"image.succeeded", "image.failed", "image.skipped"}
    assert payloads[3]["type"] == "job.completed"
    assert [event["sequence"] for event in payloads] == [1, 2, 3, 4]


def test_a_canceled_job_is_told_once(shop: Shop) -> None:
    job = shop.submit(2, webhook=endpoint(shop, "job.*"))
    cancel_job(shop.db, shop.tenant, job.id)
    cancel_job(shop.db, shop.tenant, job.id)
    (told,) = delivered(shop)
    assert (told["type"], told["data"]["counts"]["canceled"]) == ("job.canceled", 2)


def test_only_what_is_asked_for_is_written(shop: Shop) -> None:
    job = shop.submit(3, webhook=endpoint(shop, "image.failed"))
    end_all(shop, job.id, bad=1)
    close_jobs(shop.db)
    assert [event["type"] for event in delivered(shop)] == ["image.failed"]


def test_images_of_a_large_job_come_together_and_each_once(shop: Shop) -> None:
    job = shop.submit(300, webhook=endpoint(shop, "*"))
    with shop.db.write() as connection:
        connection.execute(update(jobs).where(jobs.c.id == job.id).values(total=1000))  # as large as it takes
    ids = end_all(shop, job.id, bad=20)
    payloads = delivered(shop)
    assert {event["type"] for event in payloads} == {"image.batch"}
    assert [event["sequence"] for event in payloads] == list(range(1, len(payloads) + 1))
    assert len(payloads) < 20
    assert all(len(json.dumps(event).encode()) < 20_000 for event in payloads)
    images = [image for event in payloads for image in event["data"]["images"]]
    assert sorted(image["id"] for image in images) == sorted(ids)
    assert (
        sum(image["type"] == "image.failed" and image["error"]["code"] == "image_truncated" for image in images) == 20
    )
    assert {event["data"]["job_id"] for event in payloads} == {job.id}


def test_the_outbox_costs_one_statement_at_most_whatever_the_number_of_images(shop: Shop) -> None:
    heard, deaf = shop.submit(100, webhook=endpoint(shop, "*")), shop.submit(100)
    counts = {}
    for job in (heard, deaf):
        ids = shop.image_ids(job.id)
        token, _ = lease_images(shop.db, ids, worker="w", lease_s=60)
        statements: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str, *_: Any, seen: list[str] = statements) -> None:
            seen.append(statement)

        event.listen(shop.db.engine, "before_cursor_execute", note)
        finish_images(shop.db, token, [succeeded(image_id) for image_id in ids], max_attempts=1)
        event.remove(shop.db.engine, "before_cursor_execute", note)
        counts[job.id] = len(statements)
    # On Postgres its rows travel with those of attempts, counts and audit log.
    assert counts[heard.id] - counts[deaf.id] == (0 if shop.db.on_postgres else 1)
    assert counts[heard.id] <= (3 if shop.db.on_postgres else 8)


def test_a_delivery_waits_for_those_before_it_and_one_that_fails_steps_aside(shop: Shop, clock: Clock) -> None:
    job = shop.submit(2, webhook=endpoint(shop, "*"))
    other = shop.submit(1, webhook=endpoint(shop, "*"))
    end_all(shop, job.id)
    end_all(shop, other.id)
    first, of_another = claim(shop.db)
    assert {first.payload["sequence"], of_another.payload["sequence"]} == {1}
    stuck = first if first.payload["data"]["job_id"] == job.id else of_another
    assert claim(shop.db) == []
    for wait in (5, 300):
        record(shop.db, stuck, 500)
        assert [each for each in claim(shop.db) if each.payload["data"]["job_id"] == job.id] == []
        clock.advance(wait * 1.1)
        assert stuck.id in {each.id for each in claim(shop.db)}
    record(shop.db, stuck, 500)
    (second,) = [each for each in claim(shop.db) if each.payload["data"]["job_id"] == job.id]
    assert second.payload["sequence"] == 2


def test_a_slow_endpoint_leaves_room_for_others(shop: Shop) -> None:
    slow, quick = endpoint(shop, "*"), endpoint(shop, "*")
    for _ in range(6):
        end_all(shop, shop.submit(1, webhook=slow).id)
    end_all(shop, shop.submit(1, webhook=quick).id)
    first = claim(shop.db, each=2)
    assert sorted(delivery.endpoint_id for delivery in first) == sorted([slow, slow, quick])
    assert claim(shop.db, each=2, busy=[slow]) == []
    assert len(claim(shop.db)) == 4


def test_two_secrets_sign_until_the_old_one_ends(shop: Shop, clock: Clock) -> None:
    made, old = create_endpoint(shop.db, shop.tenant, URL)
    changed, new = rotate_secret(shop.db, shop.tenant, made.id, keep_s=DAY_S).made
    assert changed.previous_secret_expires_at is not None
    ping(shop.db, shop.tenant, made.id)
    (delivery,) = claim(shop.db)
    assert delivery.secrets == (new, old)
    clock.advance(DAY_S)
    (delivery,) = claim(shop.db)
    assert delivery.secrets == (new,)
    _, newest = rotate_secret(shop.db, shop.tenant, made.id, keep_s=0).made
    clock.advance(60)
    assert claim(shop.db)[0].secrets == (newest,)


def test_days_of_failure_disable_an_endpoint_and_tell_the_others(shop: Shop, clock: Clock) -> None:
    broken, other, deaf = endpoint(shop, "*"), endpoint(shop, "webhook.*"), endpoint(shop, "job.*")
    for _ in range(2):
        end_all(shop, shop.submit(1, webhook=broken).id)
    first, second = claim(shop.db)
    record(shop.db, first, 500)
    assert get_endpoint(shop.db, shop.tenant, broken).failing_since == clock.time
    clock.advance(3 * DAY_S)
    assert record(shop.db, second, 500) is DeliveryState.FAILED
    disabled = get_endpoint(shop.db, shop.tenant, broken)
    assert disabled.disabled_at == clock.time
    assert "No post has succeeded since 2026-05-01" in (disabled.disabled_reason or "")
    (told,) = claim(shop.db)
    assert (told.endpoint_id, told.event_type, told.payload["data"]["id"]) == (other, "webhook.disabled", broken)
    assert get_endpoint(shop.db, shop.tenant, deaf).disabled_at is None
    with pytest.raises(WebhookDisabled):
        redeliver(shop.db, shop.tenant, broken, first.id)
    with pytest.raises(WebhookDisabled):
        ping(shop.db, shop.tenant, broken)
    assert change_endpoint(shop.db, shop.tenant, broken, enable=True).disabled_at is None
    redeliver(shop.db, shop.tenant, broken, first.id)
    assert get_delivery(shop.db, shop.tenant, broken, first.id).state is DeliveryState.PENDING


def test_one_success_ends_the_days_of_failure(shop: Shop, clock: Clock) -> None:
    shaky = endpoint(shop, "*")
    for _ in range(3):
        end_all(shop, shop.submit(1, webhook=shaky).id)
    first, second, third = claim(shop.db)
    record(shop.db, first, 500)
    clock.advance(2 * DAY_S)
    record(shop.db, second, 200)
    assert get_endpoint(shop.db, shop.tenant, shaky).failing_since is None
    clock.advance(2 * DAY_S)
    assert record(shop.db, third, 500) is DeliveryState.PENDING
    assert get_endpoint(shop.db, shop.tenant, shaky).disabled_at is None


def test_deliveries_are_listed_with_their_attempts_and_sent_again(shop: Shop, rival: Shop, clock: Clock) -> None:
    mine = endpoint(shop, "*")
    end_all(shop, shop.submit(1, webhook=mine).id)
    (delivery,) = claim(shop.db)
    for _ in range(5):
        record(shop.db, delivery, 503)
    (listed,) = list_deliveries(shop.db, shop.tenant, mine, limit=10, after=None)
    assert (listed.state, listed.next_attempt_at) == (DeliveryState.FAILED, None)
    assert [(attempt.attempt, attempt.status, attempt.excerpt) for attempt in listed.log] == [
        (number, 503, "said") for number in range(1, 6)
    ]
    assert list_deliveries(shop.db, shop.tenant, mine, limit=10, after=listed.id) == []
    assert list_deliveries(shop.db, shop.tenant, mine, limit=10, after=None, state=DeliveryState.PENDING) == []
    with pytest.raises(NotFound):
        list_deliveries(rival.db, rival.tenant, mine, limit=10, after=None)
    for act in (redeliver, get_delivery):
        with pytest.raises(NotFound):
            act(rival.db, rival.tenant, mine, delivery.id)

    redeliver(shop.db, shop.tenant, mine, delivery.id)
    assert get_delivery(shop.db, shop.tenant, mine, delivery.id).state is DeliveryState.PENDING
    (again,) = claim(shop.db)
    assert again.id == delivery.id
    # The schedule starts from its beginning.
    assert record(shop.db, again, 503) is DeliveryState.PENDING
    clock.advance(10)
    (again,) = claim(shop.db)
    assert record(shop.db, again, 204) is DeliveryState.DELIVERED
    assert len(get_delivery(shop.db, shop.tenant, mine, delivery.id).log) == 7


def test_events_of_what_was_deleted_meanwhile_leave_the_outbox(shop: Shop) -> None:
    job = shop.submit(1, webhook=endpoint(shop, "*"))
    end_all(shop, job.id)
    delete_job(shop.db, shop.tenant, job.id)
    assert claim(shop.db) == []
    with shop.db.read() as connection:
        assert connection.scalar(select(func.count()).select_from(webhook_outbox)) == 0


def test_old_deliveries_of_no_job_are_forgotten_and_their_numbers_go_on(shop: Shop, clock: Clock) -> None:
    hook = endpoint(shop, "*")
    job = shop.submit(1, webhook=hook)
    end_all(shop, job.id)
    close_jobs(shop.db)
    for _ in range(3):
        ping(shop.db, shop.tenant, hook)
    for delivery in claim(shop.db):
        record(shop.db, delivery, 200)
    clock.advance(29 * DAY_S)
    ping(shop.db, shop.tenant, hook)
    relay_events(shop.db)
    clock.advance(1 * DAY_S)
    assert drop_old_deliveries(shop.db, 31 * DAY_S) == 0
    assert drop_old_deliveries(shop.db, 30 * DAY_S) == 3
    left = list_deliveries(shop.db, shop.tenant, hook, limit=100, after=None)
    assert [(one.job_id, one.sequence) for one in left if one.job_id is None] == [(None, 4)]
    assert any(one.job_id == job.id for one in left)
    # Pending deliveries stay, and so does an endpoint's last one: numbering continues after it.
    clock.advance(365 * DAY_S)
    assert drop_old_deliveries(shop.db, 30 * DAY_S) == 0
    ping(shop.db, shop.tenant, hook)
    relay_events(shop.db)
    newest = list_deliveries(shop.db, shop.tenant, hook, limit=1, after=None)
    assert [one.sequence for one in newest] == [5]


def test_what_a_disabled_endpoint_missed_is_recovered_in_order_and_under_its_ids(shop: Shop, clock: Clock) -> None:
    mine = endpoint(shop, "*")
    end_all(shop, shop.submit(1, webhook=mine).id)
    (first,) = claim(shop.db)
    record(shop.db, first, 410)
    clock.advance(60)
    disabled_since = clock.time
    missed = shop.submit(2, webhook=mine)
    end_all(shop, missed.id)
    close_jobs(shop.db)
    relay_events(shop.db)
    assert claim(shop.db) == []
    # Those of the other job, and the end of the first.
    kept = [one for one in list_deliveries(shop.db, shop.tenant, mine, limit=9, after=None) if one.id != first.id]
    assert next(one.event_type for one in kept if one.job_id == missed.id) == "job.completed"
    assert {delivery.state for delivery in kept} == {DeliveryState.FAILED}
    with pytest.raises(WebhookDisabled):
        recover(shop.db, shop.tenant, mine, since=disabled_since, after=None)
    change_endpoint(shop.db, shop.tenant, mine, enable=True)
    with pytest.raises(NotFound):
        recover(shop.db, "tnt_0", mine, since=disabled_since, after=None)
    assert recover(shop.db, shop.tenant, mine, since=disabled_since, after=None).made == (len(kept), False)
    posted = []
    while claimed := claim(shop.db):
        posted += claimed
        for delivery in claimed:
            record(shop.db, delivery, 200)
    assert {delivery.id for delivery in posted} == {delivery.id for delivery in kept}
    assert [one.payload["sequence"] for one in posted if one.job_id == missed.id] == [1, 2, 3]
    # The first one failed before that time; it is behind no event.
    assert recover(shop.db, shop.tenant, mine, since=None, after=first.id).made == (0, False)
    assert recover(shop.db, shop.tenant, mine, since=None, after="evt_0").made == (1, False)


def test_every_webhook_of_a_job_hears_what_it_asks_for(shop: Shop, rival: Shop, clock: Clock) -> None:
    named, further = endpoint(shop, "image.*"), endpoint(shop, "job.*")
    everywhere = create_endpoint(shop.db, shop.tenant, "https://shop.example/all", ["*"], all_jobs=True)[0].id
    create_endpoint(rival.db, rival.tenant, "https://rival.example/all", ["*"], all_jobs=True)
    own = JobWebhook(url="https://shop.example/own", events=("job.completed",), secret="whsec_" + "A" * 32)
    job = shop.submit(1, webhook=named, further_webhooks=[further], own_webhook=own)
    (own_id,) = set(shop.job(job.id).further_webhooks) - {further, everywhere}
    end_all(shop, job.id)
    close_jobs(shop.db)
    relay_events(shop.db)

    def heard(endpoint_id: str, event: str | None = None) -> list[str]:
        listed = list_deliveries(shop.db, shop.tenant, endpoint_id, limit=9, after=None, event=event)
        return [delivery.event_type for delivery in reversed(listed)]

    assert heard(named) == ["image.succeeded"]
    assert heard(further) == ["job.completed"]
    assert heard(everywhere) == ["image.succeeded", "job.completed"]
    assert heard(everywhere, "image.*") == ["image.succeeded"]
    assert heard(everywhere, "job.completed") == ["job.completed"]
    assert heard(own_id) == ["job.completed"]
    assert get_endpoint(shop.db, shop.tenant, own_id).job_id == job.id
    # A deleted one is heard no more, and a job's own goes with it.
    delete_endpoint(shop.db, shop.tenant, further)
    delete_job(shop.db, shop.tenant, job.id)
    assert {one.id for one in list_endpoints(shop.db, shop.tenant)} == {named, everywhere}
    other = shop.submit(1)
    assert shop.job(other.id).further_webhooks == [everywhere]
    with pytest.raises(NotFound):
        shop.submit(1, further_webhooks=["whe_0"])
