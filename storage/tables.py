"""The ledger's tables, for Postgres and SQLite alike. ``migrations/`` creates them; nothing else does.

Ids are a prefix and a UUID of version 7 (``job_…``, ``img_…``), so that an index grows at its end.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from uuid6 import uuid7

ID = String(40)
#: ``None`` is NULL, not the document ``null``.
JSON_DOCUMENT = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
#: SQLite only counts up by itself on INTEGER.
SERIAL = BigInteger().with_variant(Integer(), "sqlite")


def new_id(prefix: str) -> str:
    """``prefix_`` and 32 hexadecimal digits that grow with time."""
    return f"{prefix}_{uuid7().hex}"


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time on both databases; SQLite keeps it as text that sorts by time."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _time(name: str, *, nullable: bool = True, index: bool = False) -> Column[Any]:
    return Column(name, UtcDateTime(), nullable=nullable, index=index)


tenants = Table(
    "tenants",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    # Quotas; empty: none.
    Column("max_images_per_day", Integer),
    Column("max_images_in_flight", Integer),
    Column("max_bytes_per_day", BigInteger),
    # Its share of the workers beside other tenants that wait; and when its last turn began and ended, in the virtual
    # time of `ledger/fairness.py`.
    Column("weight", Float, nullable=False, server_default="1"),
    Column("turn_began", Float, nullable=False, server_default="0"),
    Column("turn_ended", Float, nullable=False, server_default="0"),
    # When the dispatcher last took a shard of any of its jobs: of equals, the tenant that waited longest is next.
    _time("dispatched_at"),
    _time("created_at", nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", ID, primary_key=True),
    Column("tenant_id", ID, ForeignKey("tenants.id"), nullable=False, index=True),
    Column("name", String(200), nullable=False),
    Column("prefix", String(20), nullable=False),
    # SHA-256 of the whole key. Keys have 256 random bits, so a slow hash would protect nothing.
    Column("hash", String(64), nullable=False, unique=True),
    # What it may be used for, parted by blanks.
    Column("scopes", String(60), nullable=False, server_default="submit read admin"),
    _time("created_at", nullable=False),
    _time("expires_at"),
    _time("last_used_at"),
    _time("revoked_at"),
)

# What a tenant has asked for on a day (UTC). Its row is also what two submissions of a tenant queue up for.
usage = Table(
    "usage",
    metadata,
    Column("tenant_id", ID, ForeignKey("tenants.id"), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("images", Integer, nullable=False, server_default="0"),
    Column("bytes", BigInteger, nullable=False, server_default="0"),
)

# Answers to requests that are not to be done twice; written in the transaction of what they answer for.
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("tenant_id", ID, ForeignKey("tenants.id"), primary_key=True),
    Column("key", String(255), primary_key=True),
    # SHA-256 of the request.
    Column("fingerprint", String(64), nullable=False),
    Column("answer", JSON_DOCUMENT, nullable=False),
    _time("created_at", nullable=False),
    Index("ix_idempotency_keys_created_at", "created_at"),
)

uploads = Table(
    "uploads",
    metadata,
    Column("id", ID, primary_key=True),
    Column("tenant_id", ID, ForeignKey("tenants.id"), nullable=False, index=True),
    Column("key", String(300), nullable=False),
    Column("filename", String(255), nullable=False),
    Column("content_type", String(100), nullable=False),
    # In bytes, as it was announced; the link takes no other. Empty: not announced.
    Column("size", BigInteger),
    # Names a transfer in parts to the object store, until it is complete. Empty: sent in one piece, or complete.
    Column("parts_id", String(1000)),
    # Jobs that it is part of; without one it goes when it expires.
    Column("uses", Integer, nullable=False, server_default="0"),
    _time("created_at", nullable=False),
    _time("expires_at", nullable=False),
    Index(
        "ix_uploads_unused",
        "expires_at",
        postgresql_where=text("uses = 0"),
        sqlite_where=text("uses = 0"),
    ),
)

# Blobs that nothing in the ledger names any more. Written with the deletion of what named them; deleted after them.
blob_deletions = Table(
    "blob_deletions",
    metadata,
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    # A key, or with a slash at its end all keys under it.
    Column("key", String(300), nullable=False),
    # A transfer in parts to this key that is to be broken off.
    Column("parts_id", String(1000)),
    # A claim moves this into the future.
    _time("due_at", nullable=False, index=True),
)

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("id", ID, primary_key=True),
    Column("tenant_id", ID, ForeignKey("tenants.id"), nullable=False, index=True),
    Column("url", String(2000), nullable=False),
    Column("secret", String(120), nullable=False),
    # Signs beside the new one until then.
    Column("previous_secret", String(120)),
    _time("previous_secret_expires_at"),
    # Filters, a list: exact types, ``job.*``, ``*``.
    Column("events", JSON_DOCUMENT, nullable=False, server_default='["job.completed", "image.failed"]'),
    # When the first post failed after the last that did not.
    _time("failing_since"),
    _time("created_at", nullable=False),
    _time("disabled_at"),
    Column("disabled_reason", String(500)),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", ID, primary_key=True),
    Column("tenant_id", ID, ForeignKey("tenants.id"), nullable=False),
    Column("state", String(12), nullable=False),
    Column("options", JSON_DOCUMENT, nullable=False),
    # Boxes, templates, or how a mask's file is placed, for images without their own mask. Empty: each file as it is.
    Column("mask", JSON_DOCUMENT),
    # Of a job whose mark is estimated: the templates found, or why there are none. Empty until it is known.
    Column("review", JSON_DOCUMENT),
    Column("priority", String(12), nullable=False, server_default="bulk"),
    # Images that wait for a worker at this time fail. Empty: they wait as long as it takes.
    _time("deadline"),
    Column("webhook_endpoint_id", ID, ForeignKey("webhook_endpoints.id")),
    # Empty for jobs of the time before it was asked for.
    Column("rights_basis", String(20)),
    Column("attested_by", String(200)),
    Column("rights_reference", String(500)),
    # W3C traceparent of its submission. Empty: not traced.
    Column("trace", String(60)),
    # Seconds from its end until it is deleted; and when that is. Empty: never.
    Column("retention_s", Integer),
    _time("expires_at"),
    Column("total", Integer, nullable=False),
    # Rows of its manifest that were left out.
    Column("rows_skipped", Integer, nullable=False, server_default="0"),
    # Folded counts; what has happened since lies in job_deltas. Their sum is the truth at every moment.
    Column("queued", Integer, nullable=False, server_default="0"),
    Column("running", Integer, nullable=False, server_default="0"),
    Column("succeeded", Integer, nullable=False, server_default="0"),
    Column("skipped", Integer, nullable=False, server_default="0"),
    Column("failed", Integer, nullable=False, server_default="0"),
    Column("canceled", Integer, nullable=False, server_default="0"),
    Column("tiles_done", BigInteger, nullable=False, server_default="0"),
    # When the dispatcher last took a shard of it: the job that waited longest is next.
    _time("dispatched_at"),
    _time("created_at", nullable=False),
    _time("started_at"),
    _time("finished_at"),
    Index("ix_jobs_tenant_id_id", "tenant_id", "id"),
    Index(
        "ix_jobs_expires_at",
        "expires_at",
        postgresql_where=text("expires_at IS NOT NULL"),
        sqlite_where=text("expires_at IS NOT NULL"),
    ),
    Index("ix_jobs_queued", "id", postgresql_where=text("state = 'queued'"), sqlite_where=text("state = 'queued'")),
    Index(
        "ix_jobs_deadline",
        "deadline",
        postgresql_where=text("deadline IS NOT NULL"),
        sqlite_where=text("deadline IS NOT NULL"),
    ),
    Index(
        "ix_jobs_open",
        "dispatched_at",
        postgresql_where=text("state IN ('estimating', 'needs_review', 'queued', 'running')"),
        sqlite_where=text("state IN ('estimating', 'needs_review', 'queued', 'running')"),
    ),
)

# Watermarks known for many images. A row is first the work of making it: leased and fenced as an image is.
templates = Table(
    "templates",
    metadata,
    Column("id", ID, primary_key=True),
    Column("tenant_id", ID, ForeignKey("tenants.id"), nullable=False),
    Column("name", String(200), nullable=False),
    # Counts those of one name of a tenant, from 1.
    Column("version", Integer, nullable=False),
    # What it is made from: `mask`, `logo` or `estimate`.
    Column("kind", String(12), nullable=False),
    Column("state", String(12), nullable=False),
    # What the tenant said of its making: uploads, place, opacity, rule of approval.
    Column("spec", JSON_DOCUMENT, nullable=False),
    # The job whose pictures it is estimated from.
    Column("source_job_id", ID, ForeignKey("jobs.id", ondelete="SET NULL"), index=True),
    # The template in whose making this one was found beside it.
    Column("found_with_id", ID, ForeignKey("templates.id", ondelete="SET NULL")),
    # Where the mark sits, as its maker says it. Empty until it is made.
    Column("place", JSON_DOCUMENT),
    Column("samples", Integer),
    Column("quality", JSON_DOCUMENT),
    # 0 to 1: what a rule of approval goes by.
    Column("confidence", Float),
    # Sentences for the person who decides.
    Column("warnings", JSON_DOCUMENT, nullable=False),
    # The template's file; of the kind `mask` the mask's. Empty until it is made.
    Column("file_key", String(300)),
    # Keys of pictures to look at, by name.
    Column("previews", JSON_DOCUMENT, nullable=False),
    Column("webhook_endpoint_id", ID, ForeignKey("webhook_endpoints.id", ondelete="SET NULL")),
    # Stage, done and of how many, while it is made.
    Column("progress", JSON_DOCUMENT),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("lease_token", String(40)),
    _time("lease_expires_at"),
    # When it was last put into a message; empty: not in the queue.
    _time("published_at"),
    _time("available_at", nullable=False),
    Column("error_code", String(60)),
    Column("error_detail", Text),
    _time("created_at", nullable=False),
    _time("finished_at"),
    _time("reviewed_at"),
    UniqueConstraint("tenant_id", "name", "version"),
    Index("ix_templates_tenant_id_id", "tenant_id", "id"),
    Index(
        "ix_templates_estimating",
        "available_at",
        postgresql_where=text("state = 'estimating'"),
        sqlite_where=text("state = 'estimating'"),
    ),
)

# Which templates the images of a job are cleaned with.
job_templates = Table(
    "job_templates",
    metadata,
    Column("job_id", ID, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("template_id", ID, ForeignKey("templates.id", ondelete="CASCADE"), primary_key=True, index=True),
)

# What is not to be worked on for now: a job's id, a tenant's id, or `everything`: no foreign key.
pauses = Table(
    "pauses",
    metadata,
    Column("subject", ID, primary_key=True),
    # `operator` or `tenant`: what the operator paused, no tenant resumes.
    Column("paused_by", String(12), nullable=False),
    _time("at", nullable=False),
)

job_deltas = Table(
    "job_deltas",
    metadata,
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    Column("job_id", ID, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("queued", Integer, nullable=False, server_default="0"),
    Column("running", Integer, nullable=False, server_default="0"),
    Column("succeeded", Integer, nullable=False, server_default="0"),
    Column("skipped", Integer, nullable=False, server_default="0"),
    Column("failed", Integer, nullable=False, server_default="0"),
    Column("canceled", Integer, nullable=False, server_default="0"),
    Column("tiles_done", Integer, nullable=False, server_default="0"),
)

images = Table(
    "images",
    metadata,
    Column("id", ID, primary_key=True),
    Column("job_id", ID, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("tenant_id", ID, nullable=False),
    Column("position", Integer, nullable=False),
    Column("name", String(255), nullable=False),
    # Its name in the tenant's own books.
    Column("custom_id", String(200)),
    Column("state", String(12), nullable=False),
    # Blank where the picture is at an address.
    Column("source_key", String(300), nullable=False),
    # https:// or s3://. Empty: the picture is under its key.
    Column("source_url", String(2000)),
    # Blank where the mask is boxes.
    Column("mask_key", String(300), nullable=False),
    # Its own mask: boxes, or how its file is placed. Empty: the job's.
    Column("mask", JSON_DOCUMENT),
    # Its own options, which win over the job's. Empty: none.
    Column("options", JSON_DOCUMENT),
    Column("result_key", String(300)),
    Column("content_type", String(100)),
    Column("width", Integer),
    Column("height", Integer),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("lease_token", String(40)),
    _time("lease_expires_at"),
    # When it was last put into a message; empty: not in the queue.
    _time("published_at"),
    # Not before this time (after a transient failure).
    _time("available_at", nullable=False),
    Column("tiles_done", Integer, nullable=False, server_default="0"),
    Column("tiles_total", Integer),
    Column("error_code", String(60)),
    Column("error_detail", Text),
    Column("record", JSON_DOCUMENT, nullable=False),
    _time("created_at", nullable=False),
    _time("started_at"),
    _time("finished_at"),
    UniqueConstraint("job_id", "position"),
    Index(
        "ix_images_published",
        "published_at",
        postgresql_where=text("state = 'queued' AND published_at IS NOT NULL"),
        sqlite_where=text("state = 'queued' AND published_at IS NOT NULL"),
    ),
    Index(
        "ix_images_leased",
        "lease_expires_at",
        postgresql_where=text("state = 'running'"),
        sqlite_where=text("state = 'running'"),
    ),
    Index(
        "ix_images_lease_token",
        "lease_token",
        postgresql_where=text("lease_token IS NOT NULL"),
        sqlite_where=text("lease_token IS NOT NULL"),
    ),
)

# The order in which a job's images are published: those tried before come first.
Index(
    "ix_images_queued",
    images.c.job_id,
    images.c.attempt.desc(),
    images.c.available_at,
    images.c.id,
    postgresql_where=text("state = 'queued'"),
    sqlite_where=text("state = 'queued'"),
)

# Rows of a manifest that were no good, where the tenant asked for them to be left out.
skipped_rows = Table(
    "skipped_rows",
    metadata,
    Column("job_id", ID, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    # In the file, from 1.
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("custom_id", String(200)),
    Column("detail", Text, nullable=False),
)

attempts = Table(
    "attempts",
    metadata,
    Column("image_id", ID, ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("worker", String(200), nullable=False),
    _time("started_at", nullable=False),
    _time("ended_at"),
    # succeeded, skipped, failed, canceled (with its job), or lost (the lease ran out).
    Column("outcome", String(12)),
    Column("code", String(60)),
    Column("detail", Text),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", ID, primary_key=True),
    Column("endpoint_id", ID, ForeignKey("webhook_endpoints.id", ondelete="CASCADE"), nullable=False, index=True),
    # Empty for what belongs to no job.
    Column("job_id", ID, ForeignKey("jobs.id", ondelete="CASCADE"), index=True),
    Column("event_type", String(60), nullable=False),
    # Counts an endpoint's deliveries of a job from 1; 0: of the time before it was counted.
    Column("sequence", Integer, nullable=False, server_default="0"),
    Column("payload", JSON_DOCUMENT, nullable=False),
    Column("state", String(12), nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    # Those made before it was last asked to be sent again: the schedule counts from there.
    Column("attempts_before", Integer, nullable=False, server_default="0"),
    # A claim moves this into the future, so that a sender that dies is followed by another.
    _time("next_attempt_at", nullable=False),
    _time("created_at", nullable=False),
    _time("delivered_at"),
    Index("ix_webhook_deliveries_order", "endpoint_id", "job_id", "sequence"),
    Index(
        "ix_webhook_deliveries_due",
        "next_attempt_at",
        postgresql_where=text("state = 'pending'"),
        sqlite_where=text("state = 'pending'"),
    ),
)

# Events as they were written with what they tell of, until deliveries are made of them. No foreign keys: writing takes
# no lock, and what became of endpoint and job is seen when they are read.
webhook_outbox = Table(
    "webhook_outbox",
    metadata,
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    Column("endpoint_id", ID, nullable=False),
    Column("job_id", ID),
    # Many of its events may share a delivery.
    Column("together", Boolean, nullable=False),
    # A list of events: type, timestamp, data.
    Column("events", JSON_DOCUMENT, nullable=False),
)

webhook_attempts = Table(
    "webhook_attempts",
    metadata,
    Column("delivery_id", ID, ForeignKey("webhook_deliveries.id", ondelete="CASCADE"), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    _time("at", nullable=False),
    # The receiver's HTTP status; empty when there was no answer.
    Column("status", Integer),
    Column("error", String(500)),
    # The first characters of the answer.
    Column("excerpt", String(500)),
    Column("seconds", Float, nullable=False),
)

# Appended to in the transaction of what it tells of, chained shortly after; a trigger refuses every other change.
# No foreign keys: it outlives what it names.
audit_log = Table(
    "audit_log",
    metadata,
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    Column("tenant_id", ID, nullable=False),
    _time("at", nullable=False),
    Column("action", String(40), nullable=False),
    Column("actor", String(250), nullable=False),
    Column("job_id", ID),
    Column("image_id", ID),
    Column("data", JSON_DOCUMENT, nullable=False),
    # Both empty until the entry is in its tenant's chain.
    Column("sequence", BigInteger),
    Column("hash", String(64)),
    UniqueConstraint("tenant_id", "sequence"),
    Index(
        "ix_audit_log_unchained",
        "id",
        postgresql_where=text("hash IS NULL"),
        sqlite_where=text("hash IS NULL"),
    ),
)
