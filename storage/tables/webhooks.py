"""Endpoints, events, deliveries, and the attempts at them."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    text,
)

from storage.records.states import DeliveryState
from storage.tables.columns import ID, JSON_DOCUMENT, SERIAL, Word, metadata, partial_index, time_column

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("id", ID, primary_key=True),
    Column("tenant_id", ID, ForeignKey("tenants.id"), nullable=False, index=True),
    Column("url", String(2000), nullable=False),
    Column("secret", String(120), nullable=False),
    # Also signs, until then.
    Column("previous_secret", String(120)),
    time_column("previous_secret_expires_at"),
    # A list of filters: exact types, ``job.*``, ``*``.
    Column("events", JSON_DOCUMENT, nullable=False, server_default='["job.completed", "image.failed"]'),
    # Whether jobs that are submitted from now on name it without being asked.
    Column("all_jobs", Boolean, nullable=False, server_default=text("false")),
    # Of an endpoint that belongs to one job and goes with it. Empty: the tenant's. No foreign key: both tables name
    # each other.
    Column("job_id", ID),
    # When the first post failed after the last success.
    time_column("failing_since"),
    time_column("created_at", nullable=False),
    time_column("disabled_at"),
    Column("disabled_reason", String(500)),
    partial_index(
        "ix_webhook_endpoints_job_id",
        "job_id",
        where="job_id IS NOT NULL",
    ),
)
webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", ID, primary_key=True),
    Column("endpoint_id", ID, ForeignKey("webhook_endpoints.id", ondelete="CASCADE"), nullable=False),
    # Empty for an event of no job.
    Column("job_id", ID, ForeignKey("jobs.id", ondelete="CASCADE"), index=True),
    Column("event_type", String(60), nullable=False),
    # Number among the endpoint's deliveries of the job, from 1; 0: made before they were numbered.
    Column("sequence", Integer, nullable=False, server_default="0"),
    Column("payload", JSON_DOCUMENT, nullable=False),
    Column("state", Word(DeliveryState), nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    # Attempts made before the last redelivery: the schedule starts from there.
    Column("attempts_before", Integer, nullable=False, server_default="0"),
    # A claim moves this into the future, so that another sender takes over from one that dies.
    time_column("next_attempt_at", nullable=False),
    time_column("created_at", nullable=False),
    time_column("delivered_at"),
    Index("ix_webhook_deliveries_endpoint_id_id", "endpoint_id", "id"),
    Index("ix_webhook_deliveries_endpoint_id_state_id", "endpoint_id", "state", "id"),
    Index("ix_webhook_deliveries_endpoint_id_event_type_id", "endpoint_id", "event_type", "id"),
    Index("ix_webhook_deliveries_order", "endpoint_id", "job_id", "sequence"),
    partial_index(
        "ix_webhook_deliveries_due",
        "next_attempt_at",
        where="state = 'pending'",
    ),
)
# Events, written in the transaction of their cause, until the relay makes deliveries of them. No foreign keys: writing
# takes no lock, and the relay checks that endpoint and job still exist.
webhook_outbox = Table(
    "webhook_outbox",
    metadata,
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    Column("endpoint_id", ID, nullable=False),
    Column("job_id", ID),
    # Whether its events may share a delivery with others.
    Column("together", Boolean, nullable=False),
    # A list of events: type, timestamp, data.
    Column("events", JSON_DOCUMENT, nullable=False),
)
webhook_attempts = Table(
    "webhook_attempts",
    metadata,
    Column("delivery_id", ID, ForeignKey("webhook_deliveries.id", ondelete="CASCADE"), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    time_column("at", nullable=False),
    # The receiver's HTTP status. Empty: it did not answer.
    Column("status", Integer),
    Column("error", String(500)),
    # The first characters of the answer.
    Column("excerpt", String(500)),
    Column("seconds", Float, nullable=False),
)
