"""Images keep the path that they were submitted with, and the size and CRC-32 of their result's file.

The columns are empty in rows of before.

Revision 0021, after 0020.
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("images", sa.Column("path", sa.String(1024)))
    op.add_column("images", sa.Column("result_bytes", sa.BigInteger()))
    op.add_column("images", sa.Column("result_crc32", sa.BigInteger()))


def downgrade() -> None:
    for column in ("result_crc32", "result_bytes", "path"):
        op.drop_column("images", column)
