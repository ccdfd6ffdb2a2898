"""Callers and their keys, quotas and usage, uploads, and the audit log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from cleanplate.base.documents import JsonObject
from storage.records.states import Scope


@dataclass(frozen=True, kw_only=True)
class Caller:
    """The sender of a request, identified by its key."""

    key_id: str
    tenant_id: str
    scopes: frozenset[Scope]
    #: The browser's session that stood for the key; ``None``: the key itself came.
    session_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """A key without its secret."""

    id: str
    tenant_id: str
    name: str
    #: Its first characters, by which its owner recognises it.
    prefix: str
    scopes: frozenset[Scope]
    created_at: datetime
    #: ``None``: never.
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Quota:
    """Limits of a tenant; ``None``: no limit."""

    #: A day is a day of UTC.
    images_per_day: int | None = None
    #: Queued or running at once.
    images_in_flight: int | None = None
    #: Bytes of announced uploads.
    bytes_per_day: int | None = None


@dataclass(frozen=True, kw_only=True)
class Usage:
    """A tenant's quota, and its usage."""

    quota: Quota
    images_today: int
    images_in_flight: int
    bytes_today: int

    @property
    def images_left_today(self) -> int | None:
        """The rest of the images a day; ``None``: there is no such quota."""
        return None if self.quota.images_per_day is None else max(self.quota.images_per_day - self.images_today, 0)


@dataclass(frozen=True)
class Work:
    """The service's work on images that ended with a result."""

    images: int = 0
    #: Of the results, over all images.
    pixels: int = 0
    #: Of the results' files.
    bytes: int = 0
    #: Milliseconds in which devices worked on the images.
    device_ms: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(
            self.images + other.images,
            self.pixels + other.pixels,
            self.bytes + other.bytes,
            self.device_ms + other.device_ms,
        )


@dataclass(frozen=True)
class AccountDay:
    """The work for a tenant on one day of UTC."""

    day: date
    work: Work


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A file that a tenant sends; ``key`` is its key in the blob store."""

    id: str
    tenant_id: str
    key: str
    filename: str
    content_type: str
    #: In bytes; ``None``: not announced.
    size: int | None
    #: Id of its multipart upload until that is complete; ``""``: the store has not opened it yet.
    parts_id: str | None
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """An event, kept for good. ``sequence`` counts a tenant's entries from 1; ``hash`` covers all of them."""

    tenant_id: str
    sequence: int
    at: datetime
    #: ``job.submitted``, ``image.succeeded`` and the like.
    action: str
    #: ``key:<id>``, ``worker:<name>`` or ``service``.
    actor: str
    job_id: str | None
    image_id: str | None
    data: JsonObject
    hash: str
