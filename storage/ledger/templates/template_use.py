"""The use of templates by jobs: the templates of a mask, the right to name them, and their data for a worker.

A mask of the kind ``mode: auto`` names none until those found in the job's pictures are approved.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from cleanplate.base.masks import AutoMask, BoxesMask, FileMask, JobMask, Placement
from storage.database import Database
from storage.errors import TemplateNotReady, TemplatesMixed, TemplateUnknown
from storage.json_columns import read_place
from storage.ledger import bulk
from storage.ledger.lifecycle.templates import insert_template
from storage.ledger.lifecycle.transitions import REQUEST_FOR_JOB
from storage.ledger.tenants.uploads import hold_uploads
from storage.records import EstimateSpec, TemplateKind, TemplateState, UsedTemplate
from storage.tables import job_templates, new_id, templates

#: Rows of templates by id.
Known = Mapping[str, Any]


@dataclass(frozen=True)
class Resolved:
    """A worker's data for a mask, beside the mask itself: fields of a ``LeasedImage``."""

    placement: Placement
    #: The file of a mask's template; blank: the mask names none.
    mask_key: str = ""
    templates: tuple[UsedTemplate, ...] = ()


def named_in(masks: Iterable[JobMask | None]) -> list[str]:
    """Ids of the templates that masks name, each once."""
    return sorted({template_id for mask in masks if mask is not None for template_id in mask.template_ids})


def is_awaited(mask: JobMask | None) -> bool:
    """Whether a job's mark is still to be found, or to be approved."""
    return isinstance(mask, AutoMask) and not mask.template_ids


def lock_named(connection: Connection, tenant_id: str, masks: Iterable[JobMask | None]) -> list[str]:
    """Locks the templates that masks name against deletion until this transaction ends; their ids.

    Raises:
        TemplateUnknown: one is not there, or another tenant's.
        TemplateNotReady: one is not to be used.
        TemplatesMixed: a mask's template beside another for the same pictures.
    """
    combinations = {mask.template_ids for mask in masks if mask is not None}
    named = sorted({template_id for ids in combinations for template_id in ids})
    rows_by_id: dict[str, Any] = {}
    for chunk in bulk.chunks(named):
        rows = connection.execute(
            select(templates.c.id, templates.c.kind, templates.c.state)
            .where(templates.c.id.in_(chunk), templates.c.tenant_id == tenant_id)
            .order_by(templates.c.id)
            .with_for_update(read=True, key_share=True)
        )
        rows_by_id |= {row.id: row for row in rows}
    if len(rows_by_id) < len(named):
        raise TemplateUnknown([template_id for template_id in named if template_id not in rows_by_id])
    for row in rows_by_id.values():
        if row.state != TemplateState.READY:
            raise TemplateNotReady(row.id, row.state)
    for ids in sorted(combinations):
        alone = [template_id for template_id in ids if rows_by_id[template_id].kind == TemplateKind.MASK]
        if alone and len(ids) > 1:
            raise TemplatesMixed(alone[0])
    return named


def note(db: Database, connection: Connection, job_id: str, template_ids: list[str]) -> None:
    """Records that the job uses these templates."""
    rows = ({"template_id": template_id} for template_id in template_ids)
    bulk.insert_rows(db, connection, job_templates, rows, job_id=job_id)


def begin_estimate(db: Database, connection: Connection, tenant_id: str, job_id: str, mask: AutoMask) -> None:
    """Adds the template that is to be found in a new job's pictures; it holds the uploads that show its mark.

    Raises:
        UploadUnknown: such an upload does not exist, has expired, or belongs to another tenant.
    """
    spec = EstimateSpec(
        mode="auto",
        approve=mask.approve,
        min_confidence=mask.min_confidence,
        force=mask.force,
        logo_upload_id=mask.logo_upload_id,
        painted=mask.painted,
    )
    hold_uploads(db, connection, tenant_id, spec.held_uploads)
    values = {
        "id": new_id("tpl"),
        "tenant_id": tenant_id,
        "name": job_id,
        "version": 1,
        "kind": TemplateKind.ESTIMATE,
        "spec": spec.model_dump(mode="json", exclude_none=True),
        "source_job_id": job_id,
    }
    insert_template(db, connection, REQUEST_FOR_JOB, values)


def read_used(connection: Connection, masks: Iterable[JobMask | None]) -> Known:
    """The templates that masks name, without those that were deleted."""
    rows_by_id: dict[str, Any] = {}
    for chunk in bulk.chunks(named_in(masks)):
        columns = (templates.c.id, templates.c.kind, templates.c.place, templates.c.file_key)
        rows_by_id |= {row.id: row for row in connection.execute(select(*columns).where(templates.c.id.in_(chunk)))}
    return rows_by_id


def resolve(mask: JobMask | None, known: Known) -> Resolved:
    """A worker's data for a mask; ``known`` holds the templates that the mask names."""
    if mask is None or not mask.template_ids:
        if isinstance(mask, FileMask | BoxesMask):
            return Resolved(mask.placement)
        return Resolved(Placement())
    first = known.get(mask.template_ids[0])
    if first is not None and first.kind == TemplateKind.MASK:
        place = read_place(first.place)
        return Resolved(place if isinstance(place, Placement) else Placement(), mask_key=first.file_key)
    used = (UsedTemplate(id=name, file_key=known[name].file_key if name in known else "") for name in mask.template_ids)
    return Resolved(Placement(), templates=tuple(used))
