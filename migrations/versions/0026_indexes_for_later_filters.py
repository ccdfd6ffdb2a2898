"""Indexes of the filters and deletions that came after 0018: no statement reads what has ended.

On Postgres ``storage.migrate`` builds them afterwards, while other transactions read and write. SQLite's tables are
small, and it builds them here.

Revision 0026, after 0024.
"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0024"
branch_labels = None
depends_on = None

#: Name, table, columns, and the condition of a partial index.
_INDEXES = (
    (
        "ix_webhook_deliveries_endpoint_id_event_type_id",
        "webhook_deliveries",
        ["endpoint_id", "event_type", "id"],
        None,
    ),
    ("ix_images_judged", "images", ["job_id", "review", "position"], "review <> 'unseen'"),
    ("ix_jobs_webhook_endpoint_id", "jobs", ["webhook_endpoint_id"], "webhook_endpoint_id IS NOT NULL"),
)


def upgrade() -> None:
    if op.get_context().dialect.name != "postgresql":
        for name, table, columns, condition in _INDEXES:
            op.create_index(name, table, columns, sqlite_where=None if condition is None else sa.text(condition))


def downgrade() -> None:
    for name, table, _, _ in _INDEXES:
        op.drop_index(name, table, if_exists=True)
