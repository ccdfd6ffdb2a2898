"""Addresses that want to be told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    ConfigDict,
    Field,
)

from api.requests.fields import PageOf, Request
from cleanplate.base.documents import Id
from storage.ledger.webhooks.endpoints import USUAL_EVENTS
from storage.records import (
    DeliveryState,
    EventFilter,
)


class DeliveriesPageOf(PageOf):
    """Which deliveries of a webhook."""

    state: DeliveryState | None = Field(default=None, description="Only deliveries in this state.")
    job_id: Id | None = Field(default=None, description="Only deliveries that tell of this job.")


class Rotation(Request):
    """How a secret gives way to another."""

    keep_s: int = Field(
        default=86_400, ge=0, le=604_800, description="Seconds for which the secret before signs too, up to a week."
    )


Events = Annotated[list[EventFilter], Field(min_length=1, max_length=len(EventFilter))]


class NewWebhook(Request):
    """An address that wants to be told."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"url": "https://shop.example/hooks/cleanplate", "events": ["job.*", "image.failed"]}
        }
    )

    events: Events = Field(
        default=list(USUAL_EVENTS),
        description="What it is told of: types, `job.*`, `image.*`, `webhook.*` or `*`.",
    )

    url: str = Field(
        min_length=1,
        max_length=2000,
        description="https, a public host, no user name or password.",
        examples=["https://shop.example/hooks/cleanplate"],
    )


class WebhookChanges(Request):
    """What is to be otherwise; what is missing stays."""

    model_config = ConfigDict(json_schema_extra={"example": {"events": ["job.*", "image.*"], "enabled": True}})

    url: str | None = Field(default=None, min_length=1, max_length=2000, description="Another address.")
    events: Events | None = Field(default=None, description="What it is told of from now on.")
    enabled: Literal[True] | None = Field(default=None, description="Post to it again after it was disabled.")
