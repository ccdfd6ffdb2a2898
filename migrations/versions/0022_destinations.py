"""Jobs may name a destination of their results; rows that were left out have a code.

The columns are empty in rows of before.

Revision 0022, after 0021.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_DOCUMENT = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("destination", _DOCUMENT))
    op.add_column("images", sa.Column("destination_url", sa.String(2000)))
    op.add_column("skipped_rows", sa.Column("code", sa.String(60)))


def downgrade() -> None:
    op.drop_column("skipped_rows", "code")
    op.drop_column("images", "destination_url")
    op.drop_column("jobs", "destination")
