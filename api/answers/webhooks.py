"""Webhooks, their deliveries, and the attempts to deliver."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import ConfigDict, Field

from api.answers.base import Answer
from api.example_ids import DELIVERY_ID, WEBHOOK_ID
from cleanplate.base.documents import JsonObject
from storage import records
from storage.records import (
    DeliveryState,
)


class Webhook(Answer):
    """An address that gets events."""

    id: str = Field(examples=[WEBHOOK_ID])
    url: str = Field(examples=["https://shop.example/hooks/cleanplate"])
    events: list[str] = Field(description="The events that it gets.", examples=[["job.*", "image.failed"]])
    all_jobs: bool = Field(default=False, description="Whether every new job tells it.")
    job_id: str | None = Field(default=None, description="The job to which it belongs; null: the tenant's.")
    created_at: datetime
    previous_secret_expires_at: datetime | None = Field(
        description="The time until which the previous secret signs too; null where there is none."
    )
    failing_since: datetime | None = Field(
        description="The time of the first failed post since the last success; after some days it is disabled."
    )
    disabled_at: datetime | None = Field(description="The time of its disabling; null while it is enabled.")
    disabled_reason: str | None

    @classmethod
    def fields_of(cls, endpoint: records.WebhookEndpoint) -> JsonObject:
        """The answer of the ledger's record."""
        return {name: getattr(endpoint, name) for name in cls.model_fields if name != "secret"}


class WebhookWithSecret(Webhook):
    """A new webhook with its secret, which is shown only once."""

    secret: str = Field(description="Verifies the signatures (Standard Webhooks). It is not shown again.")


class WebhookPage(Answer):
    """All webhooks of the tenant."""

    data: list[Webhook]
    next_cursor: str | None = Field(description="Always null: the list is short.")


class DeliveryAttempt(Answer):
    """One attempt to deliver."""

    model_config = ConfigDict(from_attributes=True)

    attempt: int
    at: datetime
    status: int | None = Field(description="The HTTP status of the answer; null where there was none.")
    error: str | None = Field(description="The reason why there was no answer.")
    excerpt: str | None = Field(description="The first characters of the answer.")
    seconds: float


class Delivery(Answer):
    """The delivery of an event to a webhook."""

    id: str = Field(description="Also the header `webhook-id` of each post.", examples=[DELIVERY_ID])
    webhook_id: str = Field(examples=[WEBHOOK_ID])
    job_id: str | None
    event_type: str = Field(examples=["job.completed"])
    sequence: int = Field(description="Counts the deliveries of one job to one webhook from 1.")
    payload: JsonObject = Field(description="The body that is posted.")
    state: DeliveryState
    created_at: datetime
    next_attempt_at: datetime | None = Field(description="The time of the next attempt; null where there is none.")
    delivered_at: datetime | None
    log: list[DeliveryAttempt] = Field(description="All attempts, oldest first.")

    @classmethod
    def of(cls, delivery: records.DeliveryRecord) -> Self:
        """The answer of the ledger's record."""
        fields = {name: value for name, value in vars(delivery).items() if name not in {"endpoint_id", "log"}}
        log = [DeliveryAttempt.model_validate(attempt) for attempt in delivery.log]
        return cls(webhook_id=delivery.endpoint_id, log=log, **fields)


class DeliveryPage(Answer):
    """A part of a webhook's deliveries, newest first."""

    data: list[Delivery]
    next_cursor: str | None = Field(description="For the next part; null at the end.")


class Recovered(Answer):
    """Deliveries that are queued again."""

    queued: int
    more: bool = Field(description="Whether others have failed: repeat the call.")
