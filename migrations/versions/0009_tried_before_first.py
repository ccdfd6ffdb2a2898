"""Retries go first: the index of queued images follows that order.

Revision 0009, after 0008.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_QUEUED = sa.text("state = 'queued'")


def upgrade() -> None:
    op.drop_index("ix_images_queued", "images")
    op.create_index(
        "ix_images_queued",
        "images",
        ["job_id", sa.text("attempt DESC"), "available_at", "id"],
        postgresql_where=_QUEUED,
        sqlite_where=_QUEUED,
    )


def downgrade() -> None:
    op.drop_index("ix_images_queued", "images")
    op.create_index(
        "ix_images_queued",
        "images",
        ["job_id", "available_at", "id"],
        postgresql_where=_QUEUED,
        sqlite_where=_QUEUED,
    )
