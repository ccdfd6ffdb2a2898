"""Jobs may name an address that is mailed at their end; what flows through the service is kept for a day.

The column is empty in rows of before, and the tables are new: nothing waits for a lock.

Revision 0028, after 0027.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

_DOCUMENT = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("jobs", sa.Column("mail", _DOCUMENT))
    op.create_table(
        "mails",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("job_id", sa.String(40), nullable=False),
        sa.Column("event_type", sa.String(60), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("next_attempt_at", _TIME, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_mails_job_id_jobs", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_mails"),
    )
    op.create_index("ix_mails_job_id", "mails", ["job_id"])
    op.create_index("ix_mails_next_attempt_at", "mails", ["next_attempt_at"])
    op.create_table(
        "flow",
        sa.Column("minute", _TIME, nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("waiting", sa.BigInteger()),
        sa.PrimaryKeyConstraint("minute", name="pk_flow"),
    )


def downgrade() -> None:
    op.drop_table("flow")
    op.drop_table("mails")
    op.drop_column("jobs", "mail")
