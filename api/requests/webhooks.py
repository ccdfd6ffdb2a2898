"""Requests about webhooks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    ConfigDict,
    Field,
)

from api.requests.fields import PageQuery, Request
from cleanplate.base.documents import Id
from storage.ledger.webhooks.endpoints import USUAL_EVENTS
from storage.records import (
    DeliveryState,
    EventFilter,
)


class DeliveriesQuery(PageQuery):
    """The part of a webhook's deliveries to read."""

    state: DeliveryState | None = Field(default=None, description="Only deliveries in this state.")
    job_id: Id | None = Field(default=None, description="Only deliveries of this job's events.")


class Rotation(Request):
    """The replacement of a webhook's secret."""

    keep_s: int = Field(
        default=86_400, ge=0, le=604_800, description="Seconds for which the old secret signs too, up to a week."
    )


Events = Annotated[list[EventFilter], Field(min_length=1, max_length=len(EventFilter))]


class NewWebhook(Request):
    """An address that gets events."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"url": "https://shop.example/hooks/cleanplate", "events": ["job.*", "image.failed"]}
        }
    )

    events: Events = Field(
        default=list(USUAL_EVENTS),
        description="The events that it gets: types, `job.*`, `image.*`, `webhook.*` or `*`.",
    )

    url: str = Field(
        min_length=1,
        max_length=2000,
        description="https, a public host, no user name or password.",
        examples=["https://shop.example/hooks/cleanplate"],
    )


class WebhookChanges(Request):
    """Changes of a webhook; missing fields stay as they are."""

    model_config = ConfigDict(json_schema_extra={"example": {"events": ["job.*", "image.*"], "enabled": True}})

    url: str | None = Field(default=None, min_length=1, max_length=2000, description="The new address.")
    events: Events | None = Field(default=None, description="The events that it gets from now on.")
    enabled: Literal[True] | None = Field(default=None, description="Enables it again after it was disabled.")
