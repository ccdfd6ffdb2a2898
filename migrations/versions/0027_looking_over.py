"""Looking over much: a job's results by doubt, and what was done without the single pictures.

The column has a constant default, which images of earlier versions keep: they come last. On Postgres
``storage.migrate`` builds the indexes afterwards, while other transactions read and write.

Revision 0027, after 0026.
"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("images", sa.Column("doubt", sa.Integer(), nullable=False, server_default="0"))
    if op.get_context().dialect.name != "postgresql":
        columns = ["job_id", sa.text("doubt DESC"), "position"]
        op.create_index("ix_images_doubt", "images", columns, sqlite_where=sa.text("state = 'succeeded'"))
        op.create_index("ix_audit_log_whole", "audit_log", ["id"], sqlite_where=sa.text("image_id IS NULL"))


def downgrade() -> None:
    op.drop_index("ix_audit_log_whole", "audit_log", if_exists=True)
    op.drop_index("ix_images_doubt", "images", if_exists=True)
    op.drop_column("images", "doubt")
