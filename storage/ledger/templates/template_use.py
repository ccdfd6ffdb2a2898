"""Templates as jobs use them: which a mask names, whether they may be named, and what a worker gets for them.

What is kept of a mask, a job's or an image's, says ``templates`` (ids); a job's ``mode: auto`` until they are known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, insert, select

from storage.database import Database
from storage.errors import TemplateNotReady, TemplatesMixed, TemplateUnknown
from storage.ledger import bulk
from storage.options import Approval
from storage.records import TemplateKind, TemplateState, UsedTemplate
from storage.tables import job_templates, new_id, templates

Mask = dict[str, Any] | None
#: Rows of templates by id.
Known = Mapping[str, Any]


def named_in(masks: Iterable[Mask]) -> list[str]:
    """Ids of the templates that masks name, each once."""
    return sorted({template_id for mask in masks if mask for template_id in mask.get("templates", ())})


def is_awaited(mask: Mask) -> bool:
    """Whether a job's mark is still to be found, or to be approved."""
    return mask is not None and mask.get("mode") == "auto" and "templates" not in mask


def lock_named(connection: Connection, tenant_id: str, masks: Iterable[Mask]) -> list[str]:
    """The templates that masks name; none of them can be deleted before this transaction ends.

    Raises:
        TemplateUnknown: one is not there, or another tenant's.
        TemplateNotReady: one is not to be used.
        TemplatesMixed: a mask's template beside another for the same pictures.
    """
    together = [mask["templates"] for mask in masks if mask and "templates" in mask]
    named = sorted({template_id for ids in together for template_id in ids})
    found: dict[str, Any] = {}
    for chunk in bulk.chunks(named):
        rows = connection.execute(
            select(templates.c.id, templates.c.kind, templates.c.state)
            .where(templates.c.id.in_(chunk), templates.c.tenant_id == tenant_id)
            .order_by(templates.c.id)
            .with_for_update(read=True, key_share=True)
        )
        found |= {row.id: row for row in rows}
    if len(found) < len(named):
        raise TemplateUnknown([template_id for template_id in named if template_id not in found])
    for row in found.values():
        if row.state != TemplateState.READY:
            raise TemplateNotReady(row.id, row.state)
    for ids in together:
        alone = [template_id for template_id in ids if found[template_id].kind == TemplateKind.MASK]
        if alone and len(ids) > 1:
            raise TemplatesMixed(alone[0])
    return named


def note(db: Database, connection: Connection, job_id: str, template_ids: list[str]) -> None:
    """The job uses these templates."""
    rows = ({"template_id": template_id} for template_id in template_ids)
    bulk.insert_rows(db, connection, job_templates, rows, job_id=job_id)


def begin_estimate(db: Database, connection: Connection, tenant_id: str, job_id: str, mask: dict[str, Any]) -> None:
    """The template that is to be found in a new job's pictures."""
    approval = Approval.model_validate({name: mask[name] for name in Approval.model_fields if name in mask})
    connection.execute(
        insert(templates).values(
            id=new_id("tpl"),
            tenant_id=tenant_id,
            name=job_id,
            version=1,
            kind=TemplateKind.ESTIMATE,
            state=TemplateState.ESTIMATING,
            spec={"mode": "auto", **approval.model_dump()},
            source_job_id=job_id,
            warnings=[],
            previews={},
            available_at=db.now(),
            created_at=db.now(),
        )
    )


def read_used(connection: Connection, masks: Iterable[Mask]) -> Known:
    """The templates that masks name, as far as they are still there."""
    found: dict[str, Any] = {}
    for chunk in bulk.chunks(named_in(masks)):
        columns = (templates.c.id, templates.c.kind, templates.c.place, templates.c.file_key)
        found |= {row.id: row for row in connection.execute(select(*columns).where(templates.c.id.in_(chunk)))}
    return found


def resolved(mask: Mask, known: Known) -> dict[str, Any]:
    """What holds for an image instead of a mask that names templates: fields of a ``LeasedImage``."""
    named = (mask or {}).get("templates", ())
    if not named:
        return {}
    first = known.get(named[0])
    if first is not None and first.kind == TemplateKind.MASK:
        return {"mask_key": first.file_key, "mask": first.place}
    used = tuple(UsedTemplate(id=name, file_key=known[name].file_key if name in known else "") for name in named)
    return {"templates": used}
