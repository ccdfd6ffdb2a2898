"""Jobs have a kind, a name, labels, metadata and the key that submitted them; images have metadata and a result's hash.

New columns are empty or have a constant default, so that no row is rewritten. The two indexes are built while the table
takes no writes: the one of hashes has no entry yet, the other has those of images with a `custom_id`.

Revision 0020, after 0019.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_DOCUMENT = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("kind", sa.String(12), nullable=False, server_default="catalogue"))
    op.add_column("jobs", sa.Column("name", sa.String(200)))
    op.add_column("jobs", sa.Column("labels", _DOCUMENT))
    op.add_column("jobs", sa.Column("metadata", _DOCUMENT))
    op.add_column("jobs", sa.Column("key_id", sa.String(40)))
    op.add_column("images", sa.Column("metadata", _DOCUMENT))
    op.add_column("images", sa.Column("result_sha256", sa.String(64)))
    for column in ("result_sha256", "custom_id"):
        kept = sa.text(f"{column} IS NOT NULL")
        op.create_index(
            f"ix_images_{column}", "images", ["tenant_id", column], postgresql_where=kept, sqlite_where=kept
        )


def downgrade() -> None:
    for column in ("result_sha256", "custom_id"):
        op.drop_index(f"ix_images_{column}", "images")
    for column in ("result_sha256", "metadata"):
        op.drop_column("images", column)
    for column in ("key_id", "metadata", "labels", "name", "kind"):
        op.drop_column("jobs", column)
