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
from storage.tables.columns import ID, JSON_DOCUMENT, SERIAL, Word, metadata, time_column

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("id", ID, primary_key=True),
    Column("tenant_id", ID, ForeignKey("tenants.id"), nullable=False, index=True),
    Column("url", String(2000), nullable=False),
    Column("secret", String(120), nullable=False),
    # Signs beside the new one until then.
    Column("previous_secret", String(120)),
    time_column("previous_secret_expires_at"),
    # Filters, a list: exact types, ``job.*``, ``*``.
    Column("events", JSON_DOCUMENT, nullable=False, server_default='["job.completed", "image.failed"]'),
    # When the first post failed after the last that did not.
    time_column("failing_since"),
    time_column("created_at", nullable=False),
    time_column("disabled_at"),
    Column("disabled_reason", String(500)),
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
    Column("state", Word(DeliveryState), nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    # Those made before it was last asked to be sent again: the schedule counts from there.
    Column("attempts_before", Integer, nullable=False, server_default="0"),
    # A claim moves this into the future, so that a sender that dies is followed by another.
    time_column("next_attempt_at", nullable=False),
    time_column("created_at", nullable=False),
    time_column("delivered_at"),
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
    time_column("at", nullable=False),
    # The receiver's HTTP status; empty when there was no answer.
    Column("status", Integer),
    Column("error", String(500)),
    # The first characters of the answer.
    Column("excerpt", String(500)),
    Column("seconds", Float, nullable=False),
)
