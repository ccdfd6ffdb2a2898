"""A template on its way through one process: leased, made of a mask, a logo or a set of pictures, stored, written down.

Blob keys follow from the template's id, so that a repeat overwrites its own files.
"""

from __future__ import annotations

import functools
import time

import structlog

from cleanplate.base.templates import TemplateProgress
from model.errors import ModelError, TemplateRefused
from model.imaging import Limits
from storage.errors import BlobNotFound, StorageError
from storage.ledger.templates.leases import fail_template, finish_template, lease_template, release_template
from storage.records import EstimateSpec, LeasedTemplate, LogoSpec, MadeTemplate, MaskSpec
from workers.device.images.outcomes import error_detail
from workers.device.lease import Lease, LeaseHeartbeat, give_back, lease_on_template, take_lease, write_while_held
from workers.device.resources import Resources
from workers.device.templates.kinds import TemplateContext, make_from_logo, make_from_mask, make_from_pictures
from workers.errors import CoderLost, CodersDown, Interrupted, LeaseLost, SourceError, TemplateUnmade

log = structlog.get_logger(__name__)


def make_template(template_id: str, resources: Resources) -> None:
    """Lease the template if it can still be leased, and bring it to its end."""
    settings, database = resources.settings, resources.database
    take = functools.partial(lease_template, database, template_id, lease_s=settings.lease_s)
    taken = take_lease(take, lambda: resources.drain.begun, template=template_id)
    if taken is None:
        return
    taken_at, (token, template) = taken
    if template is None:
        log.info("template.not_leased", template=template_id)
        return
    lease = lease_on_template(database, token, template_id, lease_s=settings.lease_s, taken_at=taken_at)
    started_at = time.monotonic()
    with LeaseHeartbeat(lease, settings.heartbeat_s):
        try:
            made = _make(template, resources, lease)
        except Interrupted:
            give_back(lease, [template_id], lambda: release_template(database, token))
        except LeaseLost:
            log.warning("template.dropped", template=template_id)
        except Exception as error:
            _fail(template, resources, lease, error)
        else:
            counted = write_while_held(lease, lambda: finish_template(database, token, made), template=template_id)
            seconds = round(time.monotonic() - started_at, 3)
            log.info("template.made", template=template_id, marks=len(made), seconds=seconds, counted=bool(counted))


def _make(template: LeasedTemplate, resources: Resources, lease: Lease[TemplateProgress]) -> list[MadeTemplate]:
    settings = resources.settings

    def on_progress(stage: str, done: int, total: int) -> None:
        lease.check(template.id)
        if resources.drain.begun:
            raise Interrupted
        lease.note_progress(template.id, TemplateProgress(stage=stage, done=done, total=total))

    context = TemplateContext(
        fetcher=resources.fetcher,
        blobs=resources.blobs,
        limits=Limits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels),
        activity=resources.activity,
        coding=resources.coding,
        on_progress=on_progress,
    )
    spec = template.spec
    wanted = len(spec.known_uploads) if isinstance(spec, EstimateSpec) else 0
    if not template.sources or len(template.known) < wanted:
        raise TemplateUnmade("sources_gone", "The pictures, or the job, that it was to be made of are gone.")
    match spec:
        case MaskSpec():
            return [make_from_mask(template, spec, context)]
        case LogoSpec():
            return [make_from_logo(template, spec, context)]
        case EstimateSpec():
            return make_from_pictures(template, spec, context)


def _fail(template: LeasedTemplate, resources: Resources, lease: Lease[TemplateProgress], error: Exception) -> None:
    """Write the failure down, in words that the owner can act on. The log gets the traceback of an unforeseen error."""
    match error:
        case BlobNotFound():
            code, detail, retry = error.code, "Its file never arrived: put it to the upload's address first.", False
        case ModelError() | StorageError() | SourceError() | TemplateUnmade() | CodersDown():
            code, detail, retry = error.code, str(error), error.transient
        case CoderLost():
            code, detail, retry = error.code, str(error), True
        case _:
            log.error("template.internal_error", template=template.id, exc_info=error)
            code, retry = "internal_error", True
            detail = f"The service failed at this template; its log says why under {template.id}."
    log.warning("template.failed", template=template.id, code=code, retry=retry)
    write = functools.partial(
        fail_template,
        resources.database,
        lease.token,
        code,
        error_detail(detail),
        retry=retry,
        max_attempts=resources.settings.max_attempts,
        needed=error.needed or None if isinstance(error, TemplateRefused) else None,
    )
    write_while_held(lease, write, template=template.id)
