"""Browsers that have signed in, and links that sign one in. Secrets are kept as SHA-256: they have 256 random bits."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, String, Table

from storage.tables.columns import ID, metadata, time_column

# A browser that acts with a key. Its cookie holds the secret.
sessions = Table(
    "sessions",
    metadata,
    Column("id", ID, primary_key=True),
    Column("key_id", ID, ForeignKey("api_keys.id"), nullable=False, index=True),
    Column("hash", String(64), nullable=False, unique=True),
    time_column("created_at", nullable=False),
    time_column("expires_at", nullable=False, index=True),
)
# A link that is exchanged for a session, once: its row goes with the exchange. At most one for each key.
login_links = Table(
    "login_links",
    metadata,
    Column("key_id", ID, ForeignKey("api_keys.id"), primary_key=True),
    Column("hash", String(64), nullable=False, unique=True),
    time_column("expires_at", nullable=False),
)
