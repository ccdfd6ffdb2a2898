"""Jobs may have several webhooks; a webhook may get the events of all jobs, or be that of one job.

The columns are empty, or have a constant default, in rows of before.

Revision 0023, after 0022.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_DOCUMENT = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("further_webhooks", _DOCUMENT))
    op.add_column(
        "webhook_endpoints", sa.Column("all_jobs", sa.Boolean(), nullable=False, server_default=sa.text("false"))
    )
    op.add_column("webhook_endpoints", sa.Column("job_id", sa.String(40)))
    kept = sa.text("job_id IS NOT NULL")
    op.create_index(
        "ix_webhook_endpoints_job_id", "webhook_endpoints", ["job_id"], postgresql_where=kept, sqlite_where=kept
    )


def downgrade() -> None:
    op.drop_index("ix_webhook_endpoints_job_id", "webhook_endpoints")
    op.drop_column("webhook_endpoints", "job_id")
    with op.batch_alter_table("webhook_endpoints") as batch:
        batch.drop_column("all_jobs")
    op.drop_column("jobs", "further_webhooks")
