"""Requests about webhooks."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, ConfigDict, Field, StringConstraints, field_validator, model_validator

from api.requests.fields import PageQuery, Request
from cleanplate.base.documents import Id
from storage.ledger.webhooks.endpoints import USUAL_EVENTS
from storage.records import (
    DeliveryState,
    EventFilter,
)

Events = Annotated[list[EventFilter], Field(min_length=1, max_length=len(EventFilter))]


class DeliveriesQuery(PageQuery):
    """The part of a webhook's deliveries to read."""

    state: DeliveryState | None = Field(default=None, description="Only deliveries in this state.")
    job_id: Id | None = Field(default=None, description="Only deliveries of this job's events.")
    event: Annotated[str, StringConstraints(pattern=r"^([a-z]+\.([a-z_]+|\*)|ping)$")] | None = Field(
        default=None,
        description="Only events of this type, or of a kind: `image.*`. Many images in one are `image.batch`.",
        examples=["image.*"],
    )


class Rotation(Request):
    """The replacement of a webhook's secret."""

    keep_s: int = Field(
        default=86_400, ge=0, le=604_800, description="Seconds for which the old secret signs too, up to a week."
    )


class Recovery(Request):
    """The failed deliveries to queue again."""

    model_config = ConfigDict(json_schema_extra={"example": {"since": "2026-05-01T00:00:00Z"}})

    since: AwareDatetime | None = Field(default=None, description="Those of events of this time or later.")
    after: Id | None = Field(default=None, description="Those behind this delivery: the last one that you have.")

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        if (self.since is None) == (self.after is None):
            raise ValueError("give either since or after")
        return self


Secret = Annotated[str, Field(pattern=r"^whsec_[A-Za-z0-9+/]{32,88}={0,2}$")]


class OwnWebhook(Request):
    """An address that gets the events of one job, and goes with it."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "url": "https://shop.example/hooks/spring",
                "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw4vB0iJ0nQ2s=",
            }
        }
    )

    url: str = Field(min_length=1, max_length=2000, description="https, a public host, no user name or password.")
    secret: Secret = Field(
        description="Your own secret, by which posts are signed: `whsec_` and base64 of 24 to 64 random bytes."
    )
    events: Events = Field(default=list(USUAL_EVENTS), description="The events that it gets.")

    @field_validator("secret")
    @classmethod
    def _of_some_length(cls, value: str) -> str:
        try:
            length = len(base64.b64decode(value.removeprefix("whsec_"), validate=True))
        except binascii.Error:
            raise ValueError("it is not base64") from None
        if not 24 <= length <= 64:
            raise ValueError("it has less than 24 or more than 64 bytes")
        return value


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

    all_jobs: bool = Field(
        default=False, description="Every job that is submitted from now on tells it, beside those that name it."
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
    all_jobs: bool | None = Field(default=None, description="Whether every job from now on tells it.")
    enabled: Literal[True] | None = Field(default=None, description="Enables it again after it was disabled.")
