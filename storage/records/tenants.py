"""Who calls, what they may and have used, and what is kept of what they did."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.records.states import Scope


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who makes a request, by the key that came with it."""

    key_id: str
    tenant_id: str
    scopes: frozenset[Scope]
    #: The browser's session that stood for the key; ``None``: the key itself came.
    session_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """A key as listed: never with its secret."""

    id: str
    tenant_id: str
    name: str
    #: First characters, enough to recognise it.
    prefix: str
    scopes: frozenset[Scope]
    created_at: datetime
    #: ``None``: never.
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Quota:
    """What a tenant may ask for; ``None``: as much as it likes."""

    #: By day of UTC.
    images_per_day: int | None = None
    #: Queued or running at once.
    images_in_flight: int | None = None
    #: Of announced uploads, by day of UTC.
    bytes_per_day: int | None = None


@dataclass(frozen=True, kw_only=True)
class Usage:
    """A tenant's quota and what it has used of it."""

    quota: Quota
    images_today: int
    images_in_flight: int
    bytes_today: int


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A place for bytes that a tenant will send; ``key`` is where they land in the blob store."""

    id: str
    tenant_id: str
    key: str
    filename: str
    content_type: str
    #: In bytes, where it was announced.
    size: int | None
    #: Names its transfer in parts until it is complete; ``""``: the transfer is still to be opened.
    parts_id: str | None
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """What happened, for good. ``sequence`` counts a tenant's entries from 1; ``hash`` also covers all before it."""

    tenant_id: str
    sequence: int
    at: datetime
    #: ``job.submitted``, ``image.succeeded`` and the like.
    action: str
    #: Who did it: ``key:<id>``, ``worker:<name>`` or ``service``.
    actor: str
    job_id: str | None
    image_id: str | None
    data: dict[str, Any]
    hash: str
