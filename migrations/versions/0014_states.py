"""The ledger refuses a state that no image or job can be in; `failed` is no state of a job any more.

On Postgres the constraints are added as not valid, which reads no row; ``storage.migrate`` validates them afterwards,
in a transaction that locks neither readers nor writers out. SQLite builds both tables anew.

Revision 0014, after 0013.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_STATES = {
    "images": "state IN ('queued', 'running', 'succeeded', 'skipped', 'failed', 'canceled')",
    "jobs": "state IN ('estimating', 'needs_review', 'queued', 'running', 'completed', 'canceled')",
}
_QUEUED = sa.text("state = 'queued'")


def upgrade() -> None:
    # Only the way down from revision 0008 wrote it: for jobs that the code before could not begin.
    op.execute(
        "UPDATE jobs SET state = 'canceled', finished_at = coalesce(finished_at, created_at) WHERE state = 'failed'"
    )
    for table, condition in _STATES.items():
        if op.get_context().dialect.name == "postgresql":
            op.execute(f"ALTER TABLE {table} ADD CONSTRAINT ck_{table}_state CHECK ({condition}) NOT VALID")
        else:
            with op.batch_alter_table(table) as batch:
                batch.create_check_constraint(op.f(f"ck_{table}_state"), condition)
    _restore_order()


def downgrade() -> None:
    for table in _STATES:
        with op.batch_alter_table(table) as batch:
            batch.drop_constraint(op.f(f"ck_{table}_state"), type_="check")
    _restore_order()


def _restore_order() -> None:
    """SQLite does not tell that a column of an index descends: the table built anew has lost it."""
    if op.get_context().dialect.name == "postgresql":
        return
    op.drop_index("ix_images_queued", "images")
    op.create_index(
        "ix_images_queued",
        "images",
        ["job_id", sa.text("attempt DESC"), "available_at", "id"],
        sqlite_where=_QUEUED,
    )
