"""Templates, and which jobs are cleaned with them."""

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
    text,
)

from storage.records.states import TemplateKind, TemplateState
from storage.tables.columns import ID, JSON_DOCUMENT, Word, metadata, time_column

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
    Column("kind", Word(TemplateKind), nullable=False),
    Column("state", Word(TemplateState), nullable=False),
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
    time_column("lease_expires_at"),
    # When it was last put into a message; empty: not in the queue.
    time_column("published_at"),
    time_column("available_at", nullable=False),
    Column("error_code", String(60)),
    Column("error_detail", Text),
    time_column("created_at", nullable=False),
    time_column("finished_at"),
    time_column("reviewed_at"),
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
