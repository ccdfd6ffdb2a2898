"""Templates, and jobs that wait for one.

Revision 0008, after 0007.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
_OPEN, _OPEN_BEFORE = "state IN ('estimating', 'needs_review', 'queued', 'running')", "state IN ('queued', 'running')"


def _index_open(where: str) -> None:
    op.drop_index("ix_jobs_open", "jobs")
    op.create_index(
        "ix_jobs_open", "jobs", ["dispatched_at"], postgresql_where=sa.text(where), sqlite_where=sa.text(where)
    )


def upgrade() -> None:
    op.add_column("jobs", sa.Column("review", _DOCUMENT, nullable=True))
    _index_open(_OPEN)
    op.create_table(
        "templates",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("spec", _DOCUMENT, nullable=False),
        sa.Column("source_job_id", sa.String(length=40), nullable=True),
        sa.Column("found_with_id", sa.String(length=40), nullable=True),
        sa.Column("place", _DOCUMENT, nullable=True),
        sa.Column("samples", sa.Integer(), nullable=True),
        sa.Column("quality", _DOCUMENT, nullable=True),
        sa.Column("confidence", sa.Float(), nullable=True),
        sa.Column("warnings", _DOCUMENT, nullable=False),
        sa.Column("file_key", sa.String(length=300), nullable=True),
        sa.Column("previews", _DOCUMENT, nullable=False),
        sa.Column("webhook_endpoint_id", sa.String(length=40), nullable=True),
        sa.Column("progress", _DOCUMENT, nullable=True),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lease_token", sa.String(length=40), nullable=True),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("available_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("error_code", sa.String(length=60), nullable=True),
        sa.Column("error_detail", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_templates_tenant_id")),
        sa.ForeignKeyConstraint(
            ["source_job_id"], ["jobs.id"], name=op.f("fk_templates_source_job_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["found_with_id"], ["templates.id"], name=op.f("fk_templates_found_with_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["webhook_endpoint_id"],
            ["webhook_endpoints.id"],
            name=op.f("fk_templates_webhook_endpoint_id"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_templates")),
        sa.UniqueConstraint("tenant_id", "name", "version", name=op.f("uq_templates_tenant_id_name_version")),
    )
    op.create_index(op.f("ix_templates_source_job_id"), "templates", ["source_job_id"])
    op.create_index("ix_templates_tenant_id_id", "templates", ["tenant_id", "id"])
    op.create_index(
        "ix_templates_estimating",
        "templates",
        ["available_at"],
        postgresql_where=sa.text("state = 'estimating'"),
        sqlite_where=sa.text("state = 'estimating'"),
    )
    op.create_table(
        "job_templates",
        sa.Column("job_id", sa.String(length=40), nullable=False),
        sa.Column("template_id", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_templates_job_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["template_id"], ["templates.id"], name=op.f("fk_job_templates_template_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "template_id", name=op.f("pk_job_templates")),
    )
    op.create_index(op.f("ix_job_templates_template_id"), "job_templates", ["template_id"])


def downgrade() -> None:
    # The earlier code knows no job that waits for a template.
    op.execute("UPDATE jobs SET state = 'failed' WHERE state IN ('estimating', 'needs_review')")
    op.drop_table("job_templates")
    op.drop_table("templates")
    _index_open(_OPEN_BEFORE)
    op.drop_column("jobs", "review")
