"""Webhooks: filters, a previous secret, an outbox, sequence numbers; an index of queued jobs.

Revision 0007, after 0006.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
_QUEUED = sa.text("state = 'queued'")


def upgrade() -> None:
    op.add_column(
        "webhook_endpoints",
        sa.Column("events", _DOCUMENT, server_default='["job.completed", "image.failed"]', nullable=False),
    )
    op.add_column("webhook_endpoints", sa.Column("previous_secret", sa.String(length=120), nullable=True))
    for name in ("previous_secret_expires_at", "failing_since"):
        op.add_column("webhook_endpoints", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    with op.batch_alter_table("webhook_deliveries") as table:
        table.alter_column("job_id", existing_type=sa.String(length=40), nullable=True)
        table.add_column(sa.Column("sequence", sa.Integer(), server_default="0", nullable=False))
        table.add_column(sa.Column("attempts_before", sa.Integer(), server_default="0", nullable=False))
    op.create_index("ix_webhook_deliveries_order", "webhook_deliveries", ["endpoint_id", "job_id", "sequence"])
    op.create_table(
        "webhook_outbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("endpoint_id", sa.String(length=40), nullable=False),
        sa.Column("job_id", sa.String(length=40), nullable=True),
        sa.Column("together", sa.Boolean(), nullable=False),
        sa.Column("events", _DOCUMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_outbox")),
    )
    op.create_index("ix_jobs_queued", "jobs", ["id"], postgresql_where=_QUEUED, sqlite_where=_QUEUED)


def downgrade() -> None:
    op.drop_index("ix_jobs_queued", table_name="jobs")
    op.drop_table("webhook_outbox")
    op.execute("DELETE FROM webhook_deliveries WHERE job_id IS NULL")
    op.drop_index("ix_webhook_deliveries_order", table_name="webhook_deliveries")
    with op.batch_alter_table("webhook_deliveries") as table:
        table.drop_column("attempts_before")
        table.drop_column("sequence")
        table.alter_column("job_id", existing_type=sa.String(length=40), nullable=False)
    with op.batch_alter_table("webhook_endpoints") as table:
        for name in ("failing_since", "previous_secret_expires_at", "previous_secret", "events"):
            table.drop_column(name)
