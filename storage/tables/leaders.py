"""Who leads, by a lease."""

from __future__ import annotations

from sqlalchemy import Column, String, Table

from storage.tables.columns import metadata, time_column

# One row for each role; its holder extends it while it lives.
leaders = Table(
    "leaders",
    metadata,
    Column("role", String(40), primary_key=True),
    Column("token", String(64), nullable=False),
    time_column("expires_at", nullable=False),
)
