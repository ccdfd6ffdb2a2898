"""Images are judged by a person, and redone by a child of their job.

New columns are empty or have a constant default. The index has no entry yet; it is built while the table takes no
writes.

Revision 0024, after 0023.
"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("parent_job_id", sa.String(40)))
    op.add_column("jobs", sa.Column("replaces", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    op.add_column("images", sa.Column("review", sa.String(12), nullable=False, server_default="unseen"))
    op.add_column("images", sa.Column("review_note", sa.String(1000)))
    op.add_column("images", sa.Column("redo_of", sa.String(40)))
    kept = sa.text("redo_of IS NOT NULL")
    op.create_index("ix_images_redo_of", "images", ["redo_of"], postgresql_where=kept, sqlite_where=kept)


def downgrade() -> None:
    op.drop_index("ix_images_redo_of", "images")
    for column in ("redo_of", "review_note", "review"):
        op.drop_column("images", column)
    with op.batch_alter_table("jobs") as batch:
        batch.drop_column("replaces")
    op.drop_column("jobs", "parent_job_id")
