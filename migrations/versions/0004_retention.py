"""Expiry of jobs and uploads, blobs to delete after them, and custom ids of images.

Revision 0004, after 0003.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("images", sa.Column("custom_id", sa.String(length=200), nullable=True))
    op.add_column("jobs", sa.Column("retention_s", sa.Integer(), nullable=True))
    op.add_column("jobs", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_jobs_expires_at",
        "jobs",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("expires_at IS NOT NULL"),
        sqlite_where=sa.text("expires_at IS NOT NULL"),
    )
    op.add_column("uploads", sa.Column("uses", sa.Integer(), server_default="0", nullable=False))
    op.execute("""
        UPDATE uploads SET uses = used.jobs
        FROM (
            SELECT named.key, count(*) AS jobs
            FROM (SELECT job_id, source_key AS key FROM images UNION SELECT job_id, mask_key FROM images) AS named
            GROUP BY named.key
        ) AS used
        WHERE used.key = uploads.key
    """)
    op.create_index(
        "ix_uploads_unused",
        "uploads",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("uses = 0"),
        sqlite_where=sa.text("uses = 0"),
    )
    op.create_table(
        "blob_deletions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("key", sa.String(length=300), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_blob_deletions")),
    )
    op.create_index(op.f("ix_blob_deletions_due_at"), "blob_deletions", ["due_at"], unique=False)


def downgrade() -> None:
    op.drop_table("blob_deletions")
    op.drop_index("ix_uploads_unused", "uploads")
    op.drop_column("uploads", "uses")
    op.drop_index("ix_jobs_expires_at", "jobs")
    op.drop_column("jobs", "expires_at")
    op.drop_column("jobs", "retention_s")
    op.drop_column("images", "custom_id")
