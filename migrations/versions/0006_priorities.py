"""Priority and deadline of jobs, weight of tenants, and pauses.

Revision 0006, after 0005.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("priority", sa.String(length=12), server_default="bulk", nullable=False))
    op.add_column("jobs", sa.Column("deadline", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_jobs_deadline",
        "jobs",
        ["deadline"],
        unique=False,
        postgresql_where=sa.text("deadline IS NOT NULL"),
        sqlite_where=sa.text("deadline IS NOT NULL"),
    )
    op.add_column("tenants", sa.Column("weight", sa.Float(), server_default="1", nullable=False))
    op.add_column("tenants", sa.Column("turn_began", sa.Float(), server_default="0", nullable=False))
    op.add_column("tenants", sa.Column("turn_ended", sa.Float(), server_default="0", nullable=False))
    op.create_table(
        "pauses",
        sa.Column("subject", sa.String(length=40), nullable=False),
        sa.Column("paused_by", sa.String(length=12), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_pauses")),
    )


def downgrade() -> None:
    op.drop_table("pauses")
    op.drop_column("tenants", "turn_ended")
    op.drop_column("tenants", "turn_began")
    op.drop_column("tenants", "weight")
    op.drop_index("ix_jobs_deadline", "jobs")
    op.drop_column("jobs", "deadline")
    op.drop_column("jobs", "priority")
