"""What the service has done for a tenant, by day.

Revision 0019, after 0018.
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("tenant_id", sa.String(40), sa.ForeignKey("tenants.id"), primary_key=True),
        sa.Column("day", sa.Date(), primary_key=True),
        *_figures(),
    )
    op.create_table(
        "account_deltas",
        sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
        sa.Column("tenant_id", sa.String(40), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        *_figures(),
    )
    if op.get_context().dialect.name == "postgresql":
        op.execute(
            "ALTER TABLE account_deltas SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000)"
        )


def downgrade() -> None:
    op.drop_table("account_deltas")
    op.drop_table("accounts")


def _figures() -> list[sa.Column]:
    names = ("images", "pixels", "bytes", "device_ms")
    return [sa.Column(name, sa.BigInteger(), nullable=False, server_default="0") for name in names]
