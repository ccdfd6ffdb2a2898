"""Webhook delivery: empties the outbox, claims due rows, signs them (Standard Webhooks), posts, records attempts.

A claimed row comes due again later: when a sender dies, another repeats its posts, and the receiver recognises a repeat
by its ``webhook-id``.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections import Counter
from collections.abc import Collection
from datetime import UTC, datetime
from types import TracebackType

import structlog
from standardwebhooks import Webhook

from cleanplate.base.settings import Settings
from cleanplate.telemetry import meters, tracing
from storage.database import Database
from storage.errors import StorageError
from storage.ledger.jobs.traces import trace_contexts
from storage.ledger.webhooks.deliveries import claim_deliveries, record_delivery
from storage.ledger.webhooks.relay import has_urgent_events, relay_events
from storage.records import Delivery
from workers.leader.webhook_post import Answer, post

log = structlog.get_logger(__name__)

#: Concurrent posts in all.
POSTS = 32
#: Concurrent posts of one tenant, and to one endpoint, from which on no more are claimed: receivers that never answer
#: leave room for others. A claim takes at most as many again, less one.
POSTS_OF_TENANT = 12
POSTS_OF_ONE = 4
#: Seconds between two searches for due rows.
SEARCH_S = 0.5
#: Seconds for which events of large jobs gather in the outbox, to share deliveries.
COLLECT_S = 5.0
#: Longest pause while the ledger is unavailable, in seconds.
LONGEST_PAUSE_S = 15.0
#: Seconds for which a stop waits for the thread. A post that is cut off is repeated when its claim expires.
STOP_S = 2.0


class WebhookSender:
    """A thread that delivers due webhooks until its ``with`` block ends."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._stopped = threading.Event()
        #: Set when a post has ended, or the sender is to stop.
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def __enter__(self) -> WebhookSender:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopped.set()
        self._wake.set()
        self._thread.join(STOP_S)

    def _run(self) -> None:
        pause = SEARCH_S
        posts: dict[threading.Thread, Delivery] = {}
        searched_at = collected_at = -math.inf
        while True:
            # Cleared before the search, so that no event during it is slept through.
            self._wake.clear()
            if self._stopped.is_set():
                return
            posts = {thread: delivery for thread, delivery in posts.items() if thread.is_alive()}
            try:
                now = time.monotonic()
                if now >= searched_at + SEARCH_S:
                    searched_at = now
                    if now >= collected_at + COLLECT_S or has_urgent_events(self._database):
                        collected_at = now
                        relay_events(self._database)
                for delivery in self._claim(posts.values()):
                    # Daemons: a stop does not wait for receivers.
                    thread = threading.Thread(target=self._deliver, args=(delivery,), name="post", daemon=True)
                    thread.start()
                    posts[thread] = delivery
                pause = SEARCH_S
            except StorageError as error:
                log.warning("webhook_sender.waits", code=error.code, error=str(error))
                pause = min(pause * 2, LONGEST_PAUSE_S)
            except Exception:
                log.exception("webhook_sender.failed")
                pause = min(pause * 2, LONGEST_PAUSE_S)
            self._wake.wait(pause)

    def _claim(self, under_way: Collection[Delivery]) -> list[Delivery]:
        """Claim the deliveries that may be posted beside those ``under_way``."""
        free = POSTS - len(under_way)
        if not free:
            return []
        endpoints = Counter(delivery.endpoint_id for delivery in under_way)
        tenants = Counter(delivery.tenant_id for delivery in under_way)
        return claim_deliveries(
            self._database,
            limit=min(free, POSTS_OF_TENANT),
            claim_s=self._claim_s,
            each=POSTS_OF_ONE,
            busy=[endpoint for endpoint, posts in endpoints.items() if posts >= POSTS_OF_ONE],
            busy_tenants=[tenant for tenant, posts in tenants.items() if posts >= POSTS_OF_TENANT],
        )

    @property
    def _claim_s(self) -> float:
        """Seconds of a claim: longer than the slowest post (connecting, then answering) and its record."""
        return 2 * self._settings.webhook_timeout_s + 30

    def _deliver(self, delivery: Delivery) -> None:
        try:
            self._post_and_record(delivery)
        except Exception:
            # The claim expires, and the delivery is posted again.
            log.exception("webhook.not_recorded", **_log_fields(delivery))
        finally:
            self._wake.set()

    def _trace_of(self, delivery: Delivery) -> str | None:
        if not tracing.on() or delivery.job_id is None:
            return None
        return trace_contexts(self._database, [delivery.job_id]).get(delivery.job_id)

    def _post_and_record(self, delivery: Delivery) -> None:
        with tracing.span("webhook.post", self._trace_of(delivery), **_log_fields(delivery)) as span:
            answer = sign_and_post(delivery, self._settings)
            span.tell(status=answer.status or 0)
        state = record_delivery(
            self._database,
            delivery.id,
            status=answer.status,
            error=answer.error,
            excerpt=answer.excerpt,
            seconds=answer.seconds,
            schedule_s=self._settings.webhook_schedule_s,
            retry_after_s=answer.retry_after_s,
            gone=answer.status == 410,
            disable_after_s=self._settings.webhook_disable_after_s,
        )
        meters.WEBHOOK_SECONDS.labels(delivery.event_type, state.value).observe(answer.seconds)
        log.info(
            "webhook.posted",
            **_log_fields(delivery),
            status=answer.status,
            error=answer.error,
            seconds=round(answer.seconds, 3),
            state=str(state),
        )


def _log_fields(delivery: Delivery) -> dict[str, str | int]:
    """Fields that identify a post in the log."""
    fields: dict[str, str | int] = {
        "delivery": delivery.id,
        "event_type": delivery.event_type,
        "attempt": delivery.attempts + 1,
    }
    return fields if delivery.job_id is None else fields | {"job": delivery.job_id}


def sign_and_post(delivery: Delivery, settings: Settings) -> Answer:
    """Sign and post one delivery (standardwebhooks.com): the signature covers its id, the time and the body."""
    body = json.dumps(delivery.payload, separators=(",", ":"), ensure_ascii=False)
    now = datetime.now(UTC)
    headers = {
        "content-type": "application/json",
        "webhook-id": delivery.id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(delivery.id, now, body) for secret in delivery.secrets),
    }
    return post(
        delivery.url,
        body.encode(),
        headers,
        timeout_s=settings.webhook_timeout_s,
        allow_private=settings.webhook_allow_private,
    )
