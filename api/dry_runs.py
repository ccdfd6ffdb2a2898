"""A job that would be: its images, keys left out, masks, marks, addresses, time and cost. Nothing is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from api import answers
from api.destinations import expected_addresses
from api.problems import Problem
from api.stores import Stores
from cleanplate.base.masks import BoxesMask, FileMask, ImageMask, JobMask, TemplateMask, kind_of
from storage.errors import NotFound, UploadUnknown
from storage.ledger.jobs.reading import recent_pace
from storage.ledger.templates.templates import get_template
from storage.ledger.tenants.accounts import recent_device_seconds
from storage.ledger.tenants.quotas import get_usage
from storage.ledger.tenants.uploads import known_uploads
from storage.records import NewJob

#: Days whose work says what an image costs.
_DAYS = 30
#: Entries of each list in the answer.
_SHOWN = 100


def dry_run(stores: Stores, tenant: str, job: NewJob) -> answers.DryRun:
    """The answer to a request with ``dry_run``. Raises Problem: ``upload_unknown``, ``template_unknown``."""
    named = {upload for image in job.images for upload in (image.source_upload_id, image.mask_upload_id)}
    uploads = {upload for upload in {*named, job.mask_upload_id} if upload is not None}
    unknown = uploads - known_uploads(stores.database, tenant, uploads) if uploads else set()
    if unknown:
        error = UploadUnknown(sorted(unknown))
        raise Problem(error.code, str(error))
    chosen = [_mask(job, index) for index in range(len(job.images))]
    masks = Counter((kind_of(mask.document()) or "<file>").strip("<>") for mask in chosen)
    pace = recent_pace(stores.database, tenant)
    device_s = recent_device_seconds(stores.database, tenant, days=_DAYS)
    usage = get_usage(stores.database, tenant)
    destinations = expected_addresses(stores, tenant, job)
    return answers.DryRun(
        images=len(job.images),
        rows_skipped=len(job.skipped),
        skipped=[answers.LeftOutKey(code=row.code, detail=row.detail) for row in job.skipped[:_SHOWN]],
        masks=dict(masks),
        marks_expected=_marks_expected(stores, tenant, chosen),
        destinations=destinations[:_SHOWN],
        images_per_second=pace,
        seconds=None if not pace else round(len(job.images) / pace, 1),
        device_seconds=None if device_s is None else round(len(job.images) * device_s, 1),
        images_left_today=usage.images_left_today,
    )


def _mask(job: NewJob, index: int) -> ImageMask | JobMask:
    mask = job.images[index].mask or job.mask
    if mask is None:
        raise ValueError(f"Image {index} has no mask.")
    return mask


def _marks_expected(stores: Stores, tenant: str, masks: Sequence[ImageMask | JobMask]) -> int | None:
    """The number of pictures in which a mark is expected; ``None``: it is looked for in each by itself.

    Raises:
        Problem: ``template_unknown``.
    """
    named = Counter(mask.template for mask in masks if isinstance(mask, TemplateMask))
    painted = sum(isinstance(mask, FileMask | BoxesMask) for mask in masks)
    expected, known = float(painted), painted
    for template_id, count in named.items():
        try:
            quality = get_template(stores.database, tenant, template_id).quality
        except NotFound as error:
            raise Problem("template_unknown", f"There is no template {template_id!r}.") from error
        if quality is not None and quality.tested and quality.found is not None:
            expected += count * quality.found / quality.tested
            known += count
    return round(expected) if known == len(masks) else None
