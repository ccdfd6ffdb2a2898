"""Addresses that are told of events, and what became of telling them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.records.states import DeliveryState


@dataclass(frozen=True, kw_only=True)
class WebhookEndpoint:
    """Where a tenant's events are posted."""

    id: str
    tenant_id: str
    url: str
    #: Filters: what it is told of.
    events: list[str]
    created_at: datetime
    #: Until when the secret before this one signs too; ``None``: there is none.
    previous_secret_expires_at: datetime | None
    #: When the first post failed after the last that did not.
    failing_since: datetime | None
    disabled_at: datetime | None
    disabled_reason: str | None


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """An event on its way to an endpoint, claimed for one attempt."""

    #: Also the ``webhook-id`` header: the same on every attempt.
    id: str
    endpoint_id: str
    #: ``None``: of no job.
    job_id: str | None = None
    url: str
    #: The endpoint's secret, and the one before it while both sign.
    secrets: tuple[str, ...]
    event_type: str
    payload: dict[str, Any]
    #: Attempts made before this one.
    attempts: int


@dataclass(frozen=True, kw_only=True)
class DeliveryAttempt:
    """One post of a delivery, and what came of it."""

    attempt: int
    at: datetime
    #: ``None``: there was no answer; ``error`` says why.
    status: int | None
    error: str | None
    #: The first characters of the answer.
    excerpt: str | None
    seconds: float


@dataclass(frozen=True, kw_only=True)
class DeliveryRecord:
    """A delivery as its tenant sees it."""

    id: str
    endpoint_id: str
    job_id: str | None
    event_type: str
    sequence: int
    payload: dict[str, Any]
    state: DeliveryState
    created_at: datetime
    #: ``None`` where nothing more is attempted.
    next_attempt_at: datetime | None
    delivered_at: datetime | None
    #: Oldest first.
    log: list[DeliveryAttempt]
