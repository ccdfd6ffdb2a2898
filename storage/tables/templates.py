"""Templates, and the jobs that use them."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from storage.records.states import TemplateKind, TemplateState
from storage.tables.columns import ID, JSON_DOCUMENT, Word, metadata, partial_index, state_check, time_column

# Watermarks that many images share. A new row is the work of making it, leased and fenced like an image.
templates = Table(
    "templates",
    metadata,
    Column("id", ID, primary_key=True),
    Column("tenant_id", ID, ForeignKey("tenants.id"), nullable=False),
    Column("name", String(200), nullable=False),
    # Number among a tenant's templates of the same name, from 1.
    Column("version", Integer, nullable=False),
    # Its source: `mask`, `logo` or `estimate`.
    Column("kind", Word(TemplateKind), nullable=False),
    Column("state", Word(TemplateState), nullable=False),
    # How it is made: uploads, place, opacity, rule of approval (`storage.records.specs`).
    Column("spec", JSON_DOCUMENT, nullable=False),
    # The job whose pictures it is estimated from.
    Column("source_job_id", ID, ForeignKey("jobs.id", ondelete="SET NULL"), index=True),
    # The template whose estimate also found this one.
    Column("found_with_id", ID, ForeignKey("templates.id", ondelete="SET NULL")),
    # Where the mark sits. Empty until it is made.
    Column("place", JSON_DOCUMENT),
    Column("samples", Integer),
    Column("quality", JSON_DOCUMENT),
    # 0 to 1: compared by a rule of approval.
    Column("confidence", Float),
    # Sentences for the person who decides.
    Column("warnings", JSON_DOCUMENT, nullable=False),
    # The template's file; of the kind `mask` the mask's. Empty until it is made.
    Column("file_key", String(300)),
    # Keys of preview pictures, by name.
    Column("previews", JSON_DOCUMENT, nullable=False),
    Column("webhook_endpoint_id", ID, ForeignKey("webhook_endpoints.id", ondelete="SET NULL")),
    # Stage, number done and total, while it is made.
    Column("progress", JSON_DOCUMENT),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("lease_token", String(40)),
    time_column("lease_expires_at"),
    # When it was last put into a message. Empty: not in the queue.
    time_column("published_at"),
    time_column("available_at", nullable=False),
    Column("error_code", String(60)),
    Column("error_detail", Text),
    time_column("created_at", nullable=False),
    time_column("finished_at"),
    time_column("reviewed_at"),
    state_check(TemplateState),
    UniqueConstraint("tenant_id", "name", "version"),
    Index("ix_templates_tenant_id_id", "tenant_id", "id"),
    partial_index(
        "ix_templates_estimating",
        "available_at",
        where="state = 'estimating'",
    ),
)
# The templates that a job's images use.
job_templates = Table(
    "job_templates",
    metadata,
    Column("job_id", ID, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("template_id", ID, ForeignKey("templates.id", ondelete="CASCADE"), primary_key=True, index=True),
)
