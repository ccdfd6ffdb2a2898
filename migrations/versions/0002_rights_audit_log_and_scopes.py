"""Rights of jobs, an append-only audit log, and API keys with scopes and expiry.

Revision 0002, after 0001.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Chained entries never change. An unchained entry may only be chained, with its content unchanged.
_POSTGRES_GUARD = """
CREATE FUNCTION audit_log_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.hash IS NULL AND (NEW.id, NEW.tenant_id, NEW.at, NEW.action, NEW.actor, NEW.data)
        IS NOT DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.at, OLD.action, OLD.actor, OLD.data)
        AND (NEW.job_id, NEW.image_id) IS NOT DISTINCT FROM (OLD.job_id, OLD.image_id)
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the audit log only grows';
END $$;
CREATE TRIGGER audit_log_rows BEFORE UPDATE OR DELETE ON audit_log
    FOR EACH ROW EXECUTE FUNCTION audit_log_only_grows();
CREATE TRIGGER audit_log_whole BEFORE TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_only_grows();
"""
_SQLITE_GUARDS = (
    """
CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log
WHEN OLD.hash IS NOT NULL OR (NEW.id, NEW.tenant_id, NEW.at, NEW.action, NEW.actor, NEW.data)
    IS NOT (OLD.id, OLD.tenant_id, OLD.at, OLD.action, OLD.actor, OLD.data)
    OR NEW.job_id IS NOT OLD.job_id OR NEW.image_id IS NOT OLD.image_id
BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END
""",
    """
CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log
BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END
""",
)


def upgrade() -> None:
    op.add_column("jobs", sa.Column("rights_basis", sa.String(length=20), nullable=True))
    op.add_column("jobs", sa.Column("attested_by", sa.String(length=200), nullable=True))
    op.add_column("jobs", sa.Column("rights_reference", sa.String(length=500), nullable=True))
    op.add_column(
        "api_keys",
        sa.Column("scopes", sa.String(length=60), server_default="submit read admin", nullable=False),
    )
    op.add_column("api_keys", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("actor", sa.String(length=250), nullable=False),
        sa.Column("job_id", sa.String(length=40), nullable=True),
        sa.Column("image_id", sa.String(length=40), nullable=True),
        sa.Column("data", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=True),
        sa.Column("hash", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
        sa.UniqueConstraint("tenant_id", "sequence", name=op.f("uq_audit_log_tenant_id_sequence")),
    )
    op.create_index(
        "ix_audit_log_unchained",
        "audit_log",
        ["id"],
        unique=False,
        postgresql_where=sa.text("hash IS NULL"),
        sqlite_where=sa.text("hash IS NULL"),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(_POSTGRES_GUARD)
    else:
        for guard in _SQLITE_GUARDS:
            op.execute(guard)


def downgrade() -> None:
    op.drop_table("audit_log")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION audit_log_only_grows()")
    op.drop_column("api_keys", "expires_at")
    op.drop_column("api_keys", "scopes")
    for name in ("rights_reference", "attested_by", "rights_basis"):
        op.drop_column("jobs", name)
