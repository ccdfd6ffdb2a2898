"""A tenant's accounts by day."""

from __future__ import annotations

from datetime import date
from typing import Self

from pydantic import Field

from api.answers.base import Answer
from storage import records


class Work(Answer):
    """The service's work on images that ended with a result."""

    images: int = Field(description="Images that ended as `succeeded` or `skipped`.", examples=[4200])
    megapixels: float = Field(description="Of their results, in millions of pixels.", examples=[8064.0])
    bytes: int = Field(description="Of their results' files.", examples=[1260000000])
    device_seconds: float = Field(description="Seconds in which devices worked on them.", examples=[2100.5])

    @classmethod
    def of(cls, work: records.Work) -> Self:
        """The answer of the ledger's record."""
        return cls(
            images=work.images,
            megapixels=round(work.pixels / 1e6, 6),
            bytes=work.bytes,
            device_seconds=round(work.device_ms / 1000, 3),
        )


class UsageDay(Work):
    """The work of one day of UTC."""

    day: date


class Usage(Answer):
    """The work for a tenant, by day of UTC."""

    since: date
    until: date
    data: list[UsageDay] = Field(description="Days with any work, oldest first.")
    total: Work
