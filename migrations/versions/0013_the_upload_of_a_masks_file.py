"""A job's mask names the upload of its file.

Before, a job kept the placement of the file alone, or nothing. Its images without a mask of their own have the file's
key, which ends with the upload's id. An image's own mask is completed by its key when it is read.

Revision 0013, after 0012.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_DOCUMENT = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
_JOBS = sa.table("jobs", sa.column("id", sa.String), sa.column("mask", _DOCUMENT))
_IMAGES = sa.table(
    "images",
    sa.column("id", sa.String),
    sa.column("job_id", sa.String),
    sa.column("mask", _DOCUMENT),
    sa.column("mask_key", sa.String),
)
#: Fields of a placement; a mask with others names no file.
_PLACEMENT = {"anchor", "scale"}
#: Rows that are read and written together.
_ROWS = 1000


def upgrade() -> None:
    # Jobs of before 0005 gave each image a file and kept no mask of it: several keys are no mask of the job.
    first, last = sa.func.min(_IMAGES.c.mask_key), sa.func.max(_IMAGES.c.mask_key)
    files = (
        sa.select(_IMAGES.c.job_id, first.label("key"))
        .where(_IMAGES.c.mask.is_(None), _IMAGES.c.mask_key != "")
        .group_by(_IMAGES.c.job_id)
        .having(first == last)
        .subquery()
    )
    query = sa.select(_JOBS.c.id, _JOBS.c.mask, files.c.key).join_from(_JOBS, files, files.c.job_id == _JOBS.c.id)
    rows = [row for row in op.get_bind().execute(query) if _PLACEMENT.issuperset(row.mask or {})]
    _write(_JOBS, {row.id: {"upload_id": row.key.rpartition("/")[2], **(row.mask or {})} for row in rows})


def downgrade() -> None:
    for table, nothing in ((_JOBS, None), (_IMAGES, {})):
        after = ""
        while True:
            page = sa.select(table.c.id, table.c.mask).where(table.c.id > after, table.c.mask.is_not(None))
            rows = op.get_bind().execute(page.order_by(table.c.id).limit(_ROWS)).all()
            if not rows:
                break
            _write(table, {row.id: _as_before(row.mask) or nothing for row in rows if row.mask != _as_before(row.mask)})
            after = rows[-1].id


def _as_before(mask: dict[str, object]) -> dict[str, object]:
    known = {name: value for name, value in mask.items() if name not in {"upload_id", "template"}}
    return {**known, "templates": [mask["template"]]} if "template" in mask else known


def _write(table: sa.TableClause, masks: dict[str, dict[str, object] | None]) -> None:
    statement = (
        sa.update(table).where(table.c.id == sa.bindparam("row")).values(mask=sa.bindparam("document", type_=_DOCUMENT))
    )
    changes = [{"row": row_id, "document": mask} for row_id, mask in masks.items()]
    for start in range(0, len(changes), _ROWS):
        op.get_bind().execute(statement, changes[start : start + _ROWS])
