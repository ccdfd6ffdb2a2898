"""A template on its way through one process: leased, made of a mask, a logo or a set of pictures, stored, settled.

The lease works as an image's: a worker that dies or hangs is followed by another, and what it says late does not count.
What is stored has keys that follow from the template's id, so a repeat overwrites itself.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import structlog

from model.errors import ModelError, TemplateRefused
from model.imaging import Limits
from storage.errors import BlobNotFound, LedgerUnavailable, StorageError
from storage.ledger.templates.making import (
    extend_template,
    fail_template,
    finish_template,
    lease_template,
    release_template,
)
from storage.records import EstimateSpec, LeasedTemplate, LogoSpec, MadeTemplate, MaskSpec
from workers.device.images.outcomes import LONGEST_DETAIL
from workers.device.lease import Heartbeat
from workers.device.resources import Resources
from workers.device.templates.kinds import Watch, from_logo, from_mask, from_pictures
from workers.errors import Interrupted, LeaseLost, SourceError, TemplateUnmade

log = structlog.get_logger(__name__)

#: Between two tries to tell the ledger, in seconds.
_RETRY_S = 1.0


class TemplateLease:
    """One token over one template, as its worker sees it; a heartbeat extends it. From any thread."""

    def __init__(self, resources: Resources, token: str, template_id: str, taken_at: float) -> None:
        self.token = token
        self._resources = resources
        self._id = template_id
        self._lease_s = resources.settings.lease_s
        self._lock = threading.Lock()
        self._expires = taken_at + self._lease_s
        self._lost = False
        self._progress: dict[str, Any] | None = None

    @property
    def expired(self) -> bool:
        return self._lost or time.monotonic() >= self._expires

    def on_progress(self, stage: str, done: int, total: int) -> None:
        """Notes how far the work is; raises LeaseLost or Interrupted where it is not to go on."""
        if self.expired:
            raise LeaseLost(self._id)
        if self._resources.drain.begun:
            raise Interrupted
        with self._lock:
            self._progress = {"stage": stage, "done": done, "total": total}

    def extend(self) -> None:
        """One heartbeat. Raises LedgerUnavailable."""
        asked_at = time.monotonic()
        with self._lock:
            progress = self._progress
        held = extend_template(self._resources.database, self.token, lease_s=self._lease_s, progress=progress)
        with self._lock:
            self._lost = self._lost or not held
            self._expires = max(self._expires, asked_at + self._lease_s)


def make_template(template_id: str, resources: Resources) -> None:
    """Lease the template if it can still be leased, and bring it to its end."""
    taken_at = time.monotonic()
    token, template = lease_template(resources.database, template_id, lease_s=resources.settings.lease_s)
    if template is None:
        log.info("template.not_leased", template=template_id)
        return
    lease = TemplateLease(resources, token, template_id, taken_at)
    begun = time.monotonic()
    with Heartbeat(lease, resources.settings.heartbeat_s):
        try:
            made = _made(template, resources, lease)
        except Interrupted:
            release_template(resources.database, token)
            log.info("template.released", template=template_id)
        except LeaseLost:
            log.warning("template.lease_lost", template=template_id)
        except Exception as error:
            _fail(template, resources, lease, error)
        else:
            counted = _told(lease, lambda: finish_template(resources.database, token, made))
            seconds = round(time.monotonic() - begun, 3)
            log.info("template.made", template=template_id, marks=len(made), seconds=seconds, counted=counted)


def _made(template: LeasedTemplate, resources: Resources, lease: TemplateLease) -> list[MadeTemplate]:
    settings = resources.settings
    watch = Watch(
        fetcher=resources.fetcher,
        blobs=resources.blobs,
        limits=Limits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels),
        activity=resources.activity,
        on_progress=lease.on_progress,
    )
    if not template.sources:
        raise TemplateUnmade("sources_gone", "The pictures, or the job, that it was to be made of are gone.")
    match template.spec:
        case MaskSpec():
            return [from_mask(template, template.spec, watch)]
        case LogoSpec():
            return [from_logo(template, template.spec, watch)]
        case EstimateSpec():
            return from_pictures(template, template.spec, watch)


def _fail(template: LeasedTemplate, resources: Resources, lease: TemplateLease, error: Exception) -> None:
    """Says why in words that its owner can act on. What nobody foresaw is logged with its traceback."""
    match error:
        case BlobNotFound():
            code, detail, retry = error.code, "Its file never arrived: put it to the upload's address first.", False
        case ModelError() | StorageError() | SourceError() | TemplateUnmade():
            code, detail, retry = error.code, str(error), error.transient
        case _:
            log.error("template.internal_error", template=template.id, exc_info=error)
            code, retry = "internal_error", True
            detail = f"The service failed at this template; its log says why under {template.id}."
    detail = detail.replace("\x00", "")[:LONGEST_DETAIL]
    log.warning("template.failed", template=template.id, code=code, retry=retry)
    _told(
        lease,
        lambda: fail_template(
            resources.database,
            lease.token,
            code,
            detail,
            retry=retry,
            max_attempts=resources.settings.max_attempts,
            needed=error.needed or None if isinstance(error, TemplateRefused) else None,
        ),
    )


def _told(lease: TemplateLease, tell: Any) -> bool:
    """Whether the ledger took it; while it is away, for as long as the lease holds."""
    while not lease.expired:
        try:
            return bool(tell())
        except LedgerUnavailable as error:
            log.warning("finish.waits", code=error.code, error=str(error))
            time.sleep(_RETRY_S)
    return False
