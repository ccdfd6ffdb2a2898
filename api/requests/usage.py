"""The days of an account."""

from __future__ import annotations

from datetime import date

from pydantic import Field

from api.requests.fields import Request


class UsageQuery(Request):
    """The days to read."""

    since: date | None = Field(
        default=None, description="The first day (UTC), as `2026-05-01`. Missing: 30 days before the last."
    )
    until: date | None = Field(default=None, description="The last day (UTC). Missing: today.")
