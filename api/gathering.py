"""Gathers a job's pictures: from a list, a manifest, or a folder in S3.

The slow steps (reading a manifest, listing a folder) happen here, before the transaction that writes the job begins.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from api import requests
from api.answers import Fault
from api.destinations import check_destination, check_folder, read_destination
from api.done_before import new_pictures
from api.filenames import clean_path
from api.images import Refused, check_model, check_text, name_of, new_image
from api.manifests import Reading, read_manifest
from api.marked_shares import check_uploaded_masks
from api.problems import MAX_FAULTS, Problem, pointer
from api.stores import Stores
from api.webhook_urls import check_webhook_url
from cleanplate.base.destinations import Destination
from cleanplate.base.masks import AutoMask, FileMask, KnownMark
from model.formats import is_picture_name
from storage.blobs.buckets import reason_against_folder, reason_against_source
from storage.blobs.s3 import S3Object
from storage.errors import BlobNotFound, BlobStoreRefused, BlobTooLarge
from storage.ledger.tenants.uploads import get_upload, known_uploads
from storage.records import JobWebhook, NewImage, NewJob, SkippedRow

#: Bytes of a manifest that is read in memory; larger ones are read from disk.
_IN_MEMORY = 1 << 20


def gather_job(stores: Stores, tenant: str, body: requests.NewJob) -> NewJob:
    """Gathers the pictures of a job; the job as the ledger takes it.

    Raises:
        Problem: an address that is not allowed, an image without a mask, too many images, a bad manifest.
    """
    skipped: list[SkippedRow] = []
    if body.images is not None:
        images = _list(stores, body.images)
    elif body.manifest is None:
        images, skipped = _list_folders(stores, body, read_destination(body.destination))
    else:
        with _download(stores, tenant, body.manifest) as file:
            images, skipped = read_images(stores, tenant, file, body, body.manifest)
    return with_terms(stores, tenant, body, images, skipped)


def read_images(
    stores: Stores,
    tenant: str,
    file: IO[bytes],
    terms: requests.JobTerms,
    how: requests.ManifestSource | requests.ManifestTerms,
) -> tuple[list[NewImage], list[SkippedRow]]:
    """Reads the images of a manifest's file, and the rows that are left out. Raises Problem."""
    reading = Reading(
        settings=stores.settings,
        known=lambda named: known_uploads(stores.database, tenant, named),
        has_mask=terms.chosen_mask is not None,
        format=how.format,
        skips=how.on_error == "skip",
    )
    manifest = read_manifest(file, reading)
    return manifest.images, manifest.bad


def with_terms(
    stores: Stores, tenant: str, terms: requests.JobTerms, images: list[NewImage], skipped: list[SkippedRow]
) -> NewJob:
    """The job of these images.

    Raises:
        Problem: ``mask_missing``, ``mask_covers_nearly_all``, or something that the service does not offer.
    """
    try:
        check_model(terms.options, stores.settings)
        check_text(terms.mask, stores.settings, "mask/mode")
    except Refused as error:
        raise _problem(error, ()) from error
    destination = read_destination(terms.destination)
    job = NewJob(
        images=images,
        destination=destination,
        mask=terms.chosen_mask,
        options=terms.options,
        rights=terms.rights,
        retention_s=stores.settings.retention_s(terms.retention_days),
        webhook_endpoint_id=terms.webhook_id,
        further_webhooks=terms.webhook_ids or [],
        own_webhook=_own_webhook(stores, terms.webhook),
        priority=terms.priority,
        deadline=terms.deadline,
        skipped=skipped,
        kind=terms.kind,
        name=terms.name,
        labels=terms.labels or [],
        metadata=terms.metadata or {},
    )
    without_mask = [index for index, image in enumerate(images) if job.mask is None and image.mask is None]
    if without_mask:
        raise Problem(
            "mask_missing",
            f"Image {without_mask[0]} has no mask, and the job has none either.",
            faults=[
                Fault(pointer=pointer("images", index), detail="This image has no mask.")
                for index in without_mask[:MAX_FAULTS]
            ],
        )
    check_uploaded_masks(stores, tenant, job)
    check_destination(stores, tenant, job)
    return job


def _own_webhook(stores: Stores, given: requests.OwnWebhook | None) -> JobWebhook | None:
    """The webhook of this job alone. Raises Problem: ``url_not_allowed``."""
    if given is None:
        return None
    check_webhook_url(given.url, allow_private=stores.settings.webhook_allow_private, path=("webhook",))
    return JobWebhook(url=given.url, events=tuple(given.events), secret=given.secret)


def places_of(body: requests.NewJob, unknown: set[str]) -> list[Fault]:
    """The places in the body that name unknown uploads."""
    places = [*_mask_places(body, unknown)]
    for index, image in enumerate(body.images or []):
        if image.upload_id in unknown:
            places.append(pointer("images", index, "upload_id"))
        places += _mask_places(image, unknown, "images", index)
        if len(places) >= MAX_FAULTS:
            break
    return [Fault(pointer=place, detail="There is no such upload, or it has expired.") for place in places]


def _mask_places(given: requests.NewImage | requests.JobTerms, unknown: set[str], *path: str | int) -> Iterator[str]:
    if given.mask_upload_id in unknown:
        yield pointer(*path, "mask_upload_id")
    if isinstance(given.mask, FileMask) and given.mask.upload_id in unknown:
        yield pointer(*path, "mask", "upload_id")
    if isinstance(given.mask, AutoMask):
        yield from known_places(given.mask, unknown, *path, "mask")


def known_places(given: KnownMark, unknown: set[str], *path: str | int) -> Iterator[str]:
    """The places in a known mark that name unknown uploads."""
    if given.logo_upload_id in unknown:
        yield pointer(*path, "logo_upload_id")
    if given.painted is not None:
        for field in ("upload_id", "mask_upload_id"):
            if getattr(given.painted, field) in unknown:
                yield pointer(*path, "painted", field)


def _list(stores: Stores, listed: list[requests.NewImage]) -> list[NewImage]:
    check_count(stores, len(listed))
    images = []
    for index, image in enumerate(listed):
        try:
            images.append(new_image(image, stores.settings))
        except Refused as error:
            raise _problem(error, ("images", index)) from error
    return images


def _list_folders(
    stores: Stores, body: requests.NewJob, destination: Destination | None
) -> tuple[list[NewImage], list[SkippedRow]]:
    """The pictures of folders in S3, and the keys that are left out, each with its number in the listing."""
    field = "folder" if body.folder is not None else "source"
    most = stores.settings.max_job_images
    found: list[tuple[NewImage, S3Object]] = []
    skipped: list[SkippedRow] = []
    taken: set[str] = set()
    number = 0
    for url in body.folders:
        reason = reason_against_folder(url, stores.settings)
        if reason is not None:
            raise _problem(Refused("url_not_allowed", field, reason), ())
        bucket = url.split("/")[2]
        prefix = url.removeprefix(f"s3://{bucket}/")
        try:
            for stored in stores.buckets.list(url):
                address = f"s3://{bucket}/{stored.key}"
                if stored.key.endswith("/") or address in taken:
                    continue
                number += 1
                taken.add(address)
                left_out = _reason_against_key(address, url, destination)
                if left_out is None:
                    found.append((_image_at(address, stored.key.removeprefix(prefix)), stored))
                else:
                    code, detail = left_out
                    skipped.append(SkippedRow(line=number, custom_id=None, code=code, detail=f"{address}: {detail}"))
                check_count(stores, len(found))
                if len(skipped) > most:
                    detail = f"More than {most} keys under it are no pictures: name a narrower prefix."
                    raise Problem("too_many_images", detail, faults=[Fault(pointer=pointer(field), detail=detail)])
        except (BlobNotFound, BlobStoreRefused) as error:
            raise _unreadable(field) from error
    if not found:
        detail = "There are no pictures in this folder."
        raise Problem("validation_failed", detail, faults=[Fault(pointer=pointer(field), detail=detail)])
    if not body.only_new or destination is None:
        return [image for image, _ in found], skipped
    images = _only_new(stores, found, destination, body)
    done = len(found) - len(images)
    told = f"{done} pictures have a result in {destination.folder} already."
    if not images:
        raise Problem("nothing_new", told)
    if done:
        skipped.append(SkippedRow(line=number + 1, custom_id=None, code="done_before", detail=told))
    return images, skipped


def _only_new(
    stores: Stores, found: list[tuple[NewImage, S3Object]], destination: Destination, body: requests.NewJob
) -> list[NewImage]:
    """The pictures that have no result yet. Raises Problem: the destination cannot be compared."""
    if "{image_id}" in destination.url:
        detail = "With only_new the addresses of results must follow from the pictures: do without {image_id}."
        raise Problem("validation_failed", detail, faults=[Fault(pointer=pointer("destination"), detail=detail)])
    check_folder(stores, destination)
    try:
        return new_pictures(stores, found, destination, body.options)
    except ValueError as error:
        raise _problem(
            Refused("validation_failed", "destination", f"A picture has no address: {error}."), ()
        ) from error
    except (BlobNotFound, BlobStoreRefused) as error:
        detail = "This service cannot list it: the bucket does not exist, or access is denied."
        raise _problem(Refused("destination_refused", "destination", detail), ()) from error


def _reason_against_key(address: str, folder: str, destination: Destination | None) -> tuple[str, str] | None:
    """Code and sentence of a key that is left out; ``None``: it is taken."""
    if not is_picture_name(address):
        return "not_a_picture", "It is not a picture by its name."
    if destination is not None and address.startswith(destination.folder) and not folder.startswith(destination.folder):
        return "in_destination", "It lies in the job's destination."
    return None


def _image_at(address: str, inner: str) -> NewImage:
    return NewImage(
        name=name_of(address),
        source_url=address,
        path=path_of(inner),
        # A name that custom_id cannot hold is still part of the address.
        custom_id=inner if len(inner) <= 200 and inner.isprintable() else None,
    )


def path_of(key: str) -> str | None:
    """The key after the folder as a path; ``None``: it cannot be one, and is still part of the address."""
    try:
        return clean_path(key)
    except ValueError:
        return None


def check_count(stores: Stores, count: int) -> None:
    """Raises Problem ``too_many_images``."""
    most = stores.settings.max_job_images
    if count > most:
        raise Problem("too_many_images", f"A job may have {most} images; this one has {count}. Split it.")


@contextmanager
def _download(stores: Stores, tenant: str, manifest: requests.ManifestSource) -> Iterator[IO[bytes]]:
    """The manifest's file, on disk if it is large."""
    most = stores.settings.max_manifest_bytes
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
        try:
            if manifest.url is None:
                upload = get_upload(stores.database, tenant, manifest.upload_id or "")
                stores.blobs.download(upload.key, file, max_bytes=most)
            else:
                _download_from_bucket(stores, manifest.url, file, most)
        except BlobTooLarge as error:
            raise Problem("request_too_large", f"A manifest may have {most} bytes. Split it.") from error
        file.seek(0)
        yield file


def _download_from_bucket(stores: Stores, url: str, file: IO[bytes], max_bytes: int) -> None:
    reason = reason_against_source(url, stores.settings)
    if reason is not None or not url.startswith("s3://"):
        detail = reason or "A manifest is read from s3://bucket/key, or from an upload."
        raise _problem(Refused("url_not_allowed", "url", detail), ("manifest",))
    try:
        stores.buckets.download(url, file, max_bytes=max_bytes)
    except (BlobNotFound, BlobStoreRefused) as error:
        raise _unreadable("manifest", "url") from error


def _unreadable(*path: str) -> Problem:
    detail = "This service cannot read it: it does not exist, or access is denied."
    return Problem("source_refused", detail, faults=[Fault(pointer=pointer(*path), detail=detail)])


def _problem(error: Refused, path: tuple[str | int, ...]) -> Problem:
    place = pointer(*path, *error.field.split("/"))
    return Problem(error.code, f"{place}: {error.detail}", faults=[Fault(pointer=place, detail=error.detail)])
