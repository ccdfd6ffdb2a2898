"""Tenants, their keys, uploads and usage, and the audit log."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    UniqueConstraint,
    literal_column,
)

from storage.tables.columns import ID, JSON_DOCUMENT, SERIAL, metadata, partial_index, time_column

tenants = Table(
    "tenants",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    # Quotas; empty: none.
    Column("max_images_per_day", Integer),
    Column("max_images_in_flight", Integer),
    Column("max_bytes_per_day", BigInteger),
    # Its share of the workers among tenants that wait; and when its last turn began and ended, in the virtual time of
    # `ledger/images/fairness.py`.
    Column("weight", Float, nullable=False, server_default="1"),
    Column("turn_began", Float, nullable=False, server_default="0"),
    Column("turn_ended", Float, nullable=False, server_default="0"),
    # When the dispatcher last took a shard of any of its jobs: of equals, the tenant with the longest wait is next.
    time_column("dispatched_at"),
    time_column("created_at", nullable=False),
)
api_keys = Table(
    "api_keys",
    metadata,
    Column("id", ID, primary_key=True),
    Column("tenant_id", ID, ForeignKey("tenants.id"), nullable=False, index=True),
    Column("name", String(200), nullable=False),
    Column("prefix", String(20), nullable=False),
    # SHA-256 of the whole key. Keys have 256 random bits, so a slow hash would add nothing.
    Column("hash", String(64), nullable=False, unique=True),
    # Its scopes, separated by blanks.
    Column("scopes", String(60), nullable=False, server_default="submit read admin"),
    time_column("created_at", nullable=False),
    time_column("expires_at"),
    time_column("last_used_at"),
    time_column("revoked_at"),
)
# A tenant's usage on a day (UTC). Two submissions of a tenant take turns by a lock on its row.
usage = Table(
    "usage",
    metadata,
    Column("tenant_id", ID, ForeignKey("tenants.id"), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("images", Integer, nullable=False, server_default="0"),
    Column("bytes", BigInteger, nullable=False, server_default="0"),
)
# What the service has done for a tenant on a day (UTC): images that ended with a result, the pixels and bytes of their
# results, and the time in which devices worked on them. Kept for good.
accounts = Table(
    "accounts",
    metadata,
    Column("tenant_id", ID, ForeignKey("tenants.id"), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("images", BigInteger, nullable=False, server_default="0"),
    Column("pixels", BigInteger, nullable=False, server_default="0"),
    Column("bytes", BigInteger, nullable=False, server_default="0"),
    Column("device_ms", BigInteger, nullable=False, server_default="0"),
)
# Work that is not in the accounts yet: rows live for seconds.
account_deltas = Table(
    "account_deltas",
    metadata,
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    Column("tenant_id", ID, nullable=False),
    Column("day", Date, nullable=False),
    Column("images", BigInteger, nullable=False, server_default="0"),
    Column("pixels", BigInteger, nullable=False, server_default="0"),
    Column("bytes", BigInteger, nullable=False, server_default="0"),
    Column("device_ms", BigInteger, nullable=False, server_default="0"),
)
# Answers to requests that must not be done twice, written in the transaction of the request.
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("tenant_id", ID, ForeignKey("tenants.id"), primary_key=True),
    Column("key", String(255), primary_key=True),
    # SHA-256 of the request.
    Column("fingerprint", String(64), nullable=False),
    Column("answer", JSON_DOCUMENT, nullable=False),
    time_column("created_at", nullable=False),
    Index("ix_idempotency_keys_created_at", "created_at"),
)
uploads = Table(
    "uploads",
    metadata,
    Column("id", ID, primary_key=True),
    Column("tenant_id", ID, ForeignKey("tenants.id"), nullable=False, index=True),
    Column("key", String(300), nullable=False, index=True),
    Column("filename", String(255), nullable=False),
    Column("content_type", String(100), nullable=False),
    # In bytes, as announced; the link accepts no other size. Empty: not announced.
    Column("size", BigInteger),
    # The object store's id of a multipart upload until it is complete. Empty: sent in one piece, or complete.
    Column("parts_id", String(1000)),
    # Number of jobs and templates that use it; at 0 it is deleted when it expires.
    Column("uses", Integer, nullable=False, server_default="0"),
    time_column("created_at", nullable=False),
    time_column("expires_at", nullable=False),
    partial_index(
        "ix_uploads_unused",
        "expires_at",
        where="uses = 0",
    ),
)
#: Whether a row of ``uploads`` belongs to no job: a constant, so that a plan without values matches the index.
IS_UNUSED = uploads.c.uses == literal_column("0")
# Blobs that no row names any more, written in the transaction that deletes the row. A sweeper deletes the blobs.
blob_deletions = Table(
    "blob_deletions",
    metadata,
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    # A key; or, with a slash at its end, all keys under it.
    Column("key", String(300), nullable=False),
    # A multipart upload to this key that is to be aborted.
    Column("parts_id", String(1000)),
    # A claim moves this into the future.
    time_column("due_at", nullable=False, index=True),
)
# Written in the transaction of the event, chained shortly after; a trigger refuses every other change. It has no
# foreign keys, because it outlives the rows that it names.
audit_log = Table(
    "audit_log",
    metadata,
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    Column("tenant_id", ID, nullable=False),
    time_column("at", nullable=False),
    Column("action", String(40), nullable=False),
    Column("actor", String(250), nullable=False),
    Column("job_id", ID),
    Column("image_id", ID),
    Column("data", JSON_DOCUMENT, nullable=False),
    # Both empty until the entry is in its tenant's chain.
    Column("sequence", BigInteger),
    Column("hash", String(64)),
    UniqueConstraint("tenant_id", "sequence"),
    # Entries of jobs as a whole: few beside those of images.
    partial_index(
        "ix_audit_log_job_id",
        "job_id",
        where="image_id IS NULL",
    ),
    # The newest of them, without reading those of images.
    partial_index(
        "ix_audit_log_whole",
        "id",
        where="image_id IS NULL",
    ),
    partial_index(
        "ix_audit_log_unchained",
        "id",
        where="hash IS NULL",
    ),
)
