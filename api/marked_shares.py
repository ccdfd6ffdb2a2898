"""Looks at the first masks of a job before it is submitted: those that mark nearly all are most likely inverted."""

from __future__ import annotations

import hashlib

from api.answers import Fault
from api.problems import Problem, pointer
from api.stores import Stores
from cleanplate.base.masks import FileMask
from cleanplate.base.options import JobOptions
from cleanplate.base.settings import Settings
from model.errors import MaskRejected
from model.imaging import Limits
from model.imaging.apart import marked_share
from model.imaging.mask_files import MAX_MARKED_SHARE
from model.shared import Shared
from storage.errors import BlobNotFound, BlobStoreUnavailable, BlobTooLarge, UploadUnknown
from storage.ledger.tenants.uploads import get_upload
from storage.records import NewJob

#: Most masks of a job that are decoded when it is submitted.
MASKS_LOOKED_AT = 3
CODE = "mask_covers_nearly_all"
#: Shares that are kept, as one mask often comes with many jobs.
_KEPT = 1024


#: The shares that masks mark, by their bytes and options. Each is decoded once, in a process of its own.
_SHARES: Shared[tuple[bytes, bool, int | None], float] = Shared(_KEPT)


def share_fault(data: bytes, settings: Settings, options: JobOptions, place: str) -> Fault | None:
    """The fault of a mask that is a picture, if it marks more of itself than ``options`` allow.

    Raises:
        MaskRejected: it cannot be read, or is a photo.
    """
    limits = Limits(settings.max_image_bytes, settings.max_image_pixels)
    most = MAX_MARKED_SHARE if options.max_marked_share is None else options.max_marked_share
    inverted, threshold = options.mask_inverted, options.mask_threshold
    share = _SHARES.get(
        (hashlib.sha256(data).digest(), inverted, threshold),
        lambda: marked_share(data, limits, inverted=inverted, threshold=threshold),
    )
    if share <= most:
        return None
    detail = f"The mask marks {share:.1%} of its pixels; the limit is {most:.0%}. Are black and white swapped?"
    return Fault(pointer=place, code=CODE, detail=detail)


def check_uploaded_masks(stores: Stores, tenant: str, job: NewJob) -> None:
    """Refuse a job of several pictures of whose first masks most mark nearly the whole picture.

    Only uploads that have arrived are looked at. The workers tell of masks that cannot be read. A job of one picture
    is left to its worker, which tells as early.

    Raises:
        Problem: ``mask_covers_nearly_all``.
    """
    if len(job.images) < 2:
        return
    looked_at, faults = 0, []
    for upload_id, (options, place) in _first_masks(job).items():
        data = _bytes_of(stores, tenant, upload_id)
        if data is None:
            continue
        try:
            fault = share_fault(data, stores.settings, options, place)
        except MaskRejected:
            continue
        looked_at += 1
        faults += [fault] if fault is not None else []
    if 2 * len(faults) > looked_at:
        raise Problem(CODE, f"{faults[0].pointer}: {faults[0].detail}", faults=faults)


def _first_masks(job: NewJob) -> dict[str, tuple[JobOptions, str]]:
    """The first uploads that are masks, each with the options and the place of its first picture.

    A mask that is laid by an anchor is not of its picture's shape, and its share says nothing.
    """
    masks: dict[str, tuple[JobOptions, str]] = {}
    for index, image in enumerate(job.images):
        mask = image.mask or job.mask
        if isinstance(mask, FileMask) and mask.anchor is None and mask.upload_id not in masks:
            place = pointer("mask") if image.mask is None else pointer("images", index)
            masks[mask.upload_id] = job.options.with_image(image.options), place
            if len(masks) == MASKS_LOOKED_AT:
                break
    return masks


def _bytes_of(stores: Stores, tenant: str, upload_id: str) -> bytes | None:
    """The file of an upload; ``None``: it has not arrived, is too large for a mask, or the store does not answer.

    No job waits for the store: its workers look at the mask in any case.
    """
    try:
        key = get_upload(stores.database, tenant, upload_id).key
        return stores.blobs.get(key, max_bytes=stores.settings.max_image_bytes)
    except (UploadUnknown, BlobNotFound, BlobTooLarge, BlobStoreUnavailable):
        return None
