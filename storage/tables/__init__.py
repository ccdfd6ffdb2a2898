"""The ledger's tables, for Postgres and SQLite alike. ``migrations/`` creates them; nothing else does.

Ids are a prefix and a UUID of version 7 (``job_…``, ``img_…``), so that their index grows at its end.
"""

from storage.tables.columns import ID, JSON_DOCUMENT, SERIAL, UtcDateTime, Word, metadata, new_id, time_column
from storage.tables.devices import devices
from storage.tables.flow import flow
from storage.tables.jobs import attempts, images, job_deltas, jobs, pauses, skipped_rows
from storage.tables.leaders import leaders
from storage.tables.mails import mails
from storage.tables.sessions import login_links, sessions
from storage.tables.templates import job_templates, templates
from storage.tables.tenants import (
    IS_UNUSED,
    account_deltas,
    accounts,
    api_keys,
    audit_log,
    blob_deletions,
    idempotency_keys,
    tenants,
    uploads,
    usage,
)
from storage.tables.webhooks import webhook_attempts, webhook_deliveries, webhook_endpoints, webhook_outbox

__all__ = [
    "ID",
    "IS_UNUSED",
    "JSON_DOCUMENT",
    "SERIAL",
    "UtcDateTime",
    "Word",
    "account_deltas",
    "accounts",
    "api_keys",
    "attempts",
    "audit_log",
    "blob_deletions",
    "devices",
    "flow",
    "idempotency_keys",
    "images",
    "job_deltas",
    "job_templates",
    "jobs",
    "leaders",
    "login_links",
    "mails",
    "metadata",
    "new_id",
    "pauses",
    "sessions",
    "skipped_rows",
    "templates",
    "tenants",
    "time_column",
    "uploads",
    "usage",
    "webhook_attempts",
    "webhook_deliveries",
    "webhook_endpoints",
    "webhook_outbox",
]
