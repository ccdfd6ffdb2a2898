"""Indexes and vacuum settings with which no statement reads what has ended.

On Postgres ``storage.migrate`` builds the new indexes afterwards, while other transactions read and write. SQLite's
tables are small, and it builds them here.

Revision 0018, after 0017.
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_OPEN = "state IN ('estimating', 'needs_review', 'queued', 'running')"
#: Name, table, columns, and the condition of a partial index.
_INDEXES = (
    ("ix_jobs_tenant_id_state_id", "jobs", ["tenant_id", "state", "id"], None),
    ("ix_jobs_tenant_id_finished_at", "jobs", ["tenant_id", "finished_at"], None),
    ("ix_jobs_open_of_tenant", "jobs", ["tenant_id", "id"], _OPEN),
    ("ix_jobs_open_deadline", "jobs", ["deadline"], _OPEN),
    ("ix_images_of_state", "images", ["job_id", "state", "position"], "state <> 'running'"),
    ("ix_images_failed", "images", ["job_id", "error_code", "position"], "state = 'failed'"),
    ("ix_audit_log_job_id", "audit_log", ["job_id"], "image_id IS NULL"),
    ("ix_uploads_key", "uploads", ["key"], None),
    ("ix_webhook_deliveries_endpoint_id_id", "webhook_deliveries", ["endpoint_id", "id"], None),
    ("ix_webhook_deliveries_endpoint_id_state_id", "webhook_deliveries", ["endpoint_id", "state", "id"], None),
)
#: Tables that grow with the images kept: a fifth of their rows, the default, is too many dead ones.
_LARGE = ("images", "attempts", "uploads", "webhook_deliveries", "audit_log")
#: Tables whose rows live for seconds.
_BRIEF = ("job_deltas", "webhook_outbox")


def upgrade() -> None:
    op.drop_index("ix_jobs_deadline", "jobs")
    op.drop_index("ix_webhook_deliveries_endpoint_id", "webhook_deliveries")
    if op.get_context().dialect.name != "postgresql":
        for name, table, columns, condition in _INDEXES:
            op.create_index(name, table, columns, sqlite_where=None if condition is None else sa.text(condition))
        return
    for table in _LARGE:
        op.execute(
            f"ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0.02, "
            "autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02)"
        )
    for table in _BRIEF:
        op.execute(f"ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000)")


def downgrade() -> None:
    for name, table, _, _ in _INDEXES:
        op.drop_index(name, table, if_exists=True)
    op.create_index("ix_webhook_deliveries_endpoint_id", "webhook_deliveries", ["endpoint_id"])
    condition = sa.text("deadline IS NOT NULL")
    op.create_index("ix_jobs_deadline", "jobs", ["deadline"], postgresql_where=condition, sqlite_where=condition)
    if op.get_context().dialect.name == "postgresql":
        for table in _LARGE:
            op.execute(
                f"ALTER TABLE {table} RESET (autovacuum_vacuum_scale_factor, "
                "autovacuum_vacuum_insert_scale_factor, autovacuum_analyze_scale_factor)"
            )
        for table in _BRIEF:
            op.execute(f"ALTER TABLE {table} RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold)")
