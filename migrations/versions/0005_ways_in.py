"""Pictures from URLs, masks and options of single images, manifests with skipped rows, multipart uploads.

Revision 0005, after 0004.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.add_column("uploads", sa.Column("parts_id", sa.String(length=1000), nullable=True))
    op.add_column("blob_deletions", sa.Column("parts_id", sa.String(length=1000), nullable=True))
    op.add_column("jobs", sa.Column("mask", _DOCUMENT, nullable=True))
    op.add_column("jobs", sa.Column("rows_skipped", sa.Integer(), server_default="0", nullable=False))
    op.add_column("images", sa.Column("source_url", sa.String(length=2000), nullable=True))
    op.add_column("images", sa.Column("mask", _DOCUMENT, nullable=True))
    op.add_column("images", sa.Column("options", _DOCUMENT, nullable=True))
    op.create_table(
        "skipped_rows",
        sa.Column("job_id", sa.String(length=40), nullable=False),
        sa.Column("line", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("custom_id", sa.String(length=200), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_skipped_rows_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "line", name=op.f("pk_skipped_rows")),
    )


def downgrade() -> None:
    op.drop_table("skipped_rows")
    for name in ("options", "mask", "source_url"):
        op.drop_column("images", name)
    for name in ("rows_skipped", "mask"):
        op.drop_column("jobs", name)
    op.drop_column("blob_deletions", "parts_id")
    op.drop_column("uploads", "parts_id")
