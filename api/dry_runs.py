"""What a job would be: its images, what it leaves out, its masks, its addresses and its time. Nothing is written."""

from __future__ import annotations

from collections import Counter

from api import answers
from api.destinations import expected_addresses
from api.problems import Problem
from api.stores import Stores
from cleanplate.base.masks import kind_of
from storage.errors import UploadUnknown
from storage.ledger.jobs.reading import recent_pace
from storage.ledger.tenants.uploads import known_uploads
from storage.records import NewJob

#: Entries of each list in the answer.
_SHOWN = 100


def dry_run(stores: Stores, tenant: str, job: NewJob) -> answers.DryRun:
    """The answer to a request with ``dry_run``. Raises Problem: ``upload_unknown``."""
    named = {upload for image in job.images for upload in (image.source_upload_id, image.mask_upload_id)}
    uploads = {upload for upload in {*named, job.mask_upload_id} if upload is not None}
    unknown = uploads - known_uploads(stores.database, tenant, uploads) if uploads else set()
    if unknown:
        error = UploadUnknown(sorted(unknown))
        raise Problem(error.code, str(error))
    masks = Counter(_kind(job, index) for index in range(len(job.images)))
    pace = recent_pace(stores.database, tenant)
    destinations = expected_addresses(stores, tenant, job)
    return answers.DryRun(
        images=len(job.images),
        rows_skipped=len(job.skipped),
        skipped=[answers.LeftOutKey(code=row.code, detail=row.detail) for row in job.skipped[:_SHOWN]],
        masks=dict(masks),
        destinations=destinations[:_SHOWN],
        images_per_second=pace,
        seconds=None if not pace else round(len(job.images) / pace, 1),
    )


def _kind(job: NewJob, index: int) -> str:
    mask = job.images[index].mask or job.mask
    if mask is None:
        raise ValueError(f"Image {index} has no mask.")
    return (kind_of(mask.document()) or "<file>").strip("<>")
