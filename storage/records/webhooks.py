"""Webhook endpoints, and the deliveries of events to them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cleanplate.base.documents import JsonObject
from storage.records.states import DeliveryState


@dataclass(frozen=True, kw_only=True)
class WebhookEndpoint:
    """A URL to which a tenant's events are posted."""

    id: str
    tenant_id: str
    url: str
    #: Filters (:class:`EventFilter`).
    events: list[str]
    #: Whether every new job names it.
    all_jobs: bool
    #: Of one job, with which it goes; ``None``: the tenant's.
    job_id: str | None
    created_at: datetime
    #: Until then the previous secret also signs; ``None``: there is no previous secret.
    previous_secret_expires_at: datetime | None
    #: When the first post failed after the last success.
    failing_since: datetime | None
    disabled_at: datetime | None
    disabled_reason: str | None


@dataclass(frozen=True, kw_only=True)
class JobWebhook:
    """An endpoint to be made for one job; the tenant knows its secret."""

    url: str
    events: tuple[str, ...]
    secret: str


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """An event on its way to an endpoint, claimed for one attempt."""

    #: Also the ``webhook-id`` header: the same on every attempt.
    id: str
    endpoint_id: str
    tenant_id: str
    #: ``None``: an event of no job.
    job_id: str | None = None
    url: str
    #: The endpoint's secret, and the previous one while both sign.
    secrets: tuple[str, ...]
    event_type: str
    payload: JsonObject
    #: Attempts made before this one.
    attempts: int


@dataclass(frozen=True, kw_only=True)
class DeliveryAttempt:
    """One post of a delivery, and its result."""

    attempt: int
    at: datetime
    #: ``None``: the receiver did not answer; ``error`` says why.
    status: int | None
    error: str | None
    #: The first characters of the answer.
    excerpt: str | None
    seconds: float


@dataclass(frozen=True, kw_only=True)
class DeliveryRecord:
    """A delivery with its attempts, for its tenant."""

    id: str
    endpoint_id: str
    job_id: str | None
    event_type: str
    sequence: int
    payload: JsonObject
    state: DeliveryState
    created_at: datetime
    #: ``None``: no attempt follows.
    next_attempt_at: datetime | None
    delivered_at: datetime | None
    #: Oldest first.
    log: list[DeliveryAttempt]
