"""The ledger refuses a state that no template can be in.

On Postgres the constraint is added as not valid, which reads no row; ``storage.migrate`` validates it afterwards.
SQLite builds the table anew.

Revision 0016, after 0015.
"""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_CONDITION = "state IN ('estimating', 'needs_review', 'ready', 'failed', 'rejected')"


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE templates ADD CONSTRAINT ck_templates_state CHECK ({_CONDITION}) NOT VALID")
    else:
        with op.batch_alter_table("templates") as batch:
            batch.create_check_constraint(op.f("ck_templates_state"), _CONDITION)


def downgrade() -> None:
    with op.batch_alter_table("templates") as batch:
        batch.drop_constraint(op.f("ck_templates_state"), type_="check")
