"""Events from the outbox to a real receiver: signed, retried, given up."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy import Row, select
from standardwebhooks import Webhook, WebhookVerificationError

from cleanplate.base.masks import FileMask
from cleanplate.base.settings import Settings
from storage.database import Database
from storage.ledger.images.finish import finish_images
from storage.ledger.images.leases import lease_images
from storage.ledger.images.reaper import close_jobs
from storage.ledger.jobs.submission import submit_job
from storage.ledger.tenants.tenants import ensure_tenant
from storage.ledger.tenants.uploads import create_uploads
from storage.ledger.webhooks.deliveries import claim_deliveries
from storage.ledger.webhooks.endpoints import create_endpoint, list_endpoints, ping, rotate_secret
from storage.ledger.webhooks.relay import relay_events
from storage.records import DeliveryState, ImageState, NewImage, NewJob, Outcome
from storage.tables import webhook_attempts, webhook_deliveries
from tests.running import until
from tests.shop import RIGHTS
from tests.webhook_receiver import Receiver, Reply, receiver_running
from workers.leader.webhook_delivery import POSTS, POSTS_OF_TENANT, WebhookSender, sign_and_post


class Shop:
    """A tenant with an endpoint and events on their way to it."""

    def __init__(self, database: Database, url: str) -> None:
        self.database = database
        self.tenant_id = ensure_tenant(database, "shop")
        endpoint, self.secret = create_endpoint(database, self.tenant_id, url)
        self.endpoint_id = endpoint.id

    def complete_a_job(self, state: ImageState = ImageState.SUCCEEDED) -> str:
        """Complete a job, with ``job.completed`` and, for a failed image, ``image.failed`` before it; the job's id."""
        uploads = create_uploads(self.database, self.tenant_id, [("a.png", "image/png")] * 2, expires_in_s=60)
        image = NewImage(name="a.png", source_upload_id=uploads[0].id, mask=FileMask(upload_id=uploads[1].id))
        job = submit_job(
            self.database,
            self.tenant_id,
            NewJob(images=[image], rights=RIGHTS, webhook_endpoint_id=self.endpoint_id),
        )
        with self.database.read() as connection:
            ids = list(connection.exec_driver_sql("SELECT id FROM images WHERE state = 'queued'").scalars())
        token, [leased] = lease_images(self.database, ids, worker="here", lease_s=60)
        failed = state is ImageState.FAILED
        outcome = Outcome(image_id=leased.id, state=state, error_code="image_unreadable" if failed else None)
        assert finish_images(self.database, token, [outcome], max_attempts=3)
        assert close_jobs(self.database) == [job.id]
        return job.id

    def deliveries(self) -> list[Row[tuple[str, str, str, int, datetime]]]:
        relay_events(self.database)
        columns = webhook_deliveries.c
        query = select(columns.id, columns.event_type, columns.state, columns.attempts, columns.next_attempt_at)
        with self.database.read() as connection:
            return list(connection.execute(query.order_by(columns.id)))

    def attempts(self) -> list[Row[tuple[int | None, str | None, str | None]]]:
        columns = webhook_attempts.c
        with self.database.read() as connection:
            return list(
                connection.execute(
                    select(columns.status, columns.error, columns.excerpt).order_by(
                        columns.delivery_id, columns.attempt
                    )
                )
            )


@pytest.fixture
def sending(embedded_settings: Settings) -> Settings:
    """Retries at once, to loopback."""
    return embedded_settings.model_copy(
        update={"webhook_allow_private": True, "webhook_schedule_s": (0.0, 0.0), "webhook_timeout_s": 5.0}
    )


@pytest.fixture
def shop(database: Database, receiver: Receiver) -> Shop:
    return Shop(database, receiver.url)


@contextmanager
def delivered(shop: Shop, settings: Settings, state: DeliveryState) -> Iterator[None]:
    """Deliver until no event is pending, then assert that all are ``state``."""
    with WebhookSender(shop.database, settings):
        until(
            lambda: all(row.state != DeliveryState.PENDING for row in shop.deliveries()),
            lambda: f"still pending: {shop.deliveries()} {shop.attempts()}",
        )
    assert {row.state for row in shop.deliveries()} == {state}
    yield


def test_event_arrives_with_a_signature_that_verifies(shop: Shop, receiver: Receiver, sending: Settings) -> None:
    job_id = shop.complete_a_job()
    with delivered(shop, sending, DeliveryState.DELIVERED):
        [received] = receiver.received
    [delivery] = shop.deliveries()
    assert received.headers["webhook-id"] == delivery.id
    event = Webhook(shop.secret).verify(received.body, received.headers)
    assert event["type"] == "job.completed"
    assert event["data"]["id"] == job_id
    assert event == json.loads(received.body)
    assert [tuple(row) for row in shop.attempts()] == [(204, None, None)]


def test_failed_image_is_told(shop: Shop, receiver: Receiver, sending: Settings) -> None:
    job_id = shop.complete_a_job(ImageState.FAILED)
    with delivered(shop, sending, DeliveryState.DELIVERED):
        events = {json.loads(received.body)["type"]: json.loads(received.body) for received in receiver.received}
    assert set(events) == {"image.failed", "job.completed"}
    assert events["image.failed"]["data"]["job_id"] == job_id
    assert events["image.failed"]["data"]["error"]["code"] == "image_unreadable"


def test_every_delivery_verifies_with_both_secrets_and_a_tampered_one_with_none(
    shop: Shop, receiver: Receiver, sending: Settings
) -> None:
    _, new = rotate_secret(shop.database, shop.tenant_id, shop.endpoint_id, keep_s=3600).made
    shop.complete_a_job(ImageState.FAILED)
    ping(shop.database, shop.tenant_id, shop.endpoint_id)
    with delivered(shop, sending, DeliveryState.DELIVERED):
        assert len(receiver.received) == 3
    for received in receiver.received:
        for secret in (shop.secret, new):
            assert Webhook(secret).verify(received.body, received.headers) == json.loads(received.body)
            changed = received.body.replace(b'"type"', b'"typo"')
            with pytest.raises(WebhookVerificationError):
                Webhook(secret).verify(changed, received.headers)
            with pytest.raises(WebhookVerificationError):
                Webhook(secret).verify(received.body, {**received.headers, "webhook-id": "evt_other"})
        stranger = "whsec_" + base64.b64encode(b"s" * 32).decode()
        with pytest.raises(WebhookVerificationError):
            Webhook(stranger).verify(received.body, received.headers)


def test_events_of_a_job_arrive_in_their_order(shop: Shop, receiver: Receiver, sending: Settings) -> None:
    receiver.replies = [Reply(500), Reply(500), Reply(204)]
    shop.complete_a_job(ImageState.FAILED)
    with delivered(shop, sending, DeliveryState.DELIVERED):
        arrived = [json.loads(received.body)["sequence"] for received in receiver.received]
    assert arrived == [1, 1, 1, 2]


def test_failing_receiver_gets_the_same_event_again(shop: Shop, receiver: Receiver, sending: Settings) -> None:
    receiver.replies = [Reply(500, body=b"out of order\0"), Reply(302, headers={"location": "/"}), Reply(200)]
    shop.complete_a_job()
    with delivered(shop, sending, DeliveryState.DELIVERED):
        ids = [received.headers["webhook-id"] for received in receiver.received]
    assert len(ids) == 3
    assert len(set(ids)) == 1
    assert [row.status for row in shop.attempts()] == [500, 302, 200]
    assert (shop.attempts()[0].excerpt or "").startswith("out of order")


def test_receiver_that_never_answers_well_is_given_up(shop: Shop, receiver: Receiver, sending: Settings) -> None:
    receiver.replies = [Reply(503)]
    shop.complete_a_job()
    with delivered(shop, sending, DeliveryState.FAILED):
        assert len(receiver.received) == 1 + len(sending.webhook_schedule_s)


def test_retry_after_is_honoured(shop: Shop, receiver: Receiver, sending: Settings) -> None:
    receiver.replies = [Reply(429, headers={"retry-after": "3600"})]
    shop.complete_a_job()
    with WebhookSender(shop.database, sending):
        until(lambda: shop.deliveries()[0].attempts == 1, "nothing was posted")
    [delivery] = shop.deliveries()
    assert delivery.state == DeliveryState.PENDING
    assert (delivery.next_attempt_at - datetime.now(UTC)).total_seconds() > 3000


def test_gone_disables_the_endpoint(shop: Shop, receiver: Receiver, sending: Settings) -> None:
    receiver.replies = [Reply(410)]
    shop.complete_a_job()
    with delivered(shop, sending, DeliveryState.FAILED):
        assert len(receiver.received) == 1
    [endpoint] = list_endpoints(shop.database, shop.tenant_id)
    assert endpoint.disabled_at is not None


def test_private_address_is_refused_and_written_down(shop: Shop, receiver: Receiver, sending: Settings) -> None:
    shop.complete_a_job()
    with delivered(shop, sending.model_copy(update={"webhook_allow_private": False}), DeliveryState.FAILED):
        assert receiver.received == []
    assert {row.error for row in shop.attempts()} == {"address_refused: Webhooks are posted over https only."}


def test_event_of_a_sender_that_died_is_posted_by_another(shop: Shop, receiver: Receiver, sending: Settings) -> None:
    shop.complete_a_job()
    # Claimed, posted, and never recorded.
    relay_events(shop.database)
    [delivery] = claim_deliveries(shop.database, limit=10, claim_s=0)
    assert sign_and_post(delivery, sending).status == 204
    with delivered(shop, sending, DeliveryState.DELIVERED):
        ids = [received.headers["webhook-id"] for received in receiver.received]
    assert ids == [delivery.id] * 2


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nx-"])
def test_receivers_that_never_end_their_answers_hold_up_no_other_tenant(
    database: Database, sending: Settings, receiver: Receiver, answer: bytes
) -> None:
    """One tenant has more endpoints than there are places; their receiver answers nothing, or a byte now and then."""
    over = threading.Event()
    held = threading.Semaphore(0)

    def hang(send: Callable[[bytes], object]) -> None:
        held.release()
        send(answer)
        while not over.wait(0.2):
            send(answer[-1:])

    hostile = ensure_tenant(database, "hostile")
    patient = sending.model_copy(update={"webhook_timeout_s": 60.0, "webhook_schedule_s": (0.0,) * 9})
    with receiver_running() as hanging:
        hanging.replies = [Reply(write=hang)]
        for _ in range(POSTS):
            endpoint = create_endpoint(database, hostile, hanging.url)[0]
            ping(database, hostile, endpoint.id)
        shop = Shop(database, receiver.url)
        with WebhookSender(database, patient):
            for _ in range(POSTS_OF_TENANT):
                assert held.acquire(timeout=60)
            shop.complete_a_job()
            until(lambda: receiver.received, lambda: f"nothing arrived: {shop.deliveries()}")
            # Each of the others is posted too, as places become free.
            hanging.replies = [Reply(204)]
            over.set()
            until(
                lambda: {row.state for row in shop.deliveries()} == {DeliveryState.DELIVERED},
                lambda: f"still pending: {shop.deliveries()} {shop.attempts()}",
            )
