"""A small job that brings its pictures along, as multipart/form-data.

All parts are checked before anything is written. Then the bytes are stored as uploads, and only then does one
transaction make the job: a crash in between leaves files that expire, and never half a job.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from flask import request
from pydantic import ValidationError
from werkzeug.datastructures import FileStorage

from api.answers import Fault
from api.bodies import StrictRequest
from api.filenames import clean_filename
from api.images import Refused, check_mode
from api.problems import Problem, pointer, validation_problem
from api.requests import InlineJob, InlinePlace
from api.rights import require_rights
from api.stores import Stores
from cleanplate.base.settings import Settings
from model.errors import ImageRejected, MaskRejected
from model.imaging import Limits, MaskProbe, Probe, check_fit, probe, probe_mask
from storage.ledger.tenants.uploads import create_uploads
from storage.options import JobOptions
from storage.records import NewImage, NewJob


@dataclass(frozen=True)
class _File:
    """A part that was found good. Its bytes stay where the form parser put them: in memory if small, else on disk."""

    name: str
    probe: Probe | MaskProbe
    part: FileStorage
    #: In bytes.
    size: int

    def read(self) -> bytes:
        self.part.stream.seek(0)
        return self.part.stream.read()


def read_inline_job(stores: Stores, tenant: str) -> NewJob:
    """Check the current request's parts, store their bytes, and return the job that is ready to be submitted.

    Raises:
        Problem: for the first fault's code, with every part that has one.
    """
    cast(StrictRequest, request).parse_form()
    form = _checked_form(stores.settings)
    images, masks = _checked_files(stores.settings, form.place)
    uploads = create_uploads(
        stores.database,
        tenant,
        [(file.name, file.probe.content_type) for file in (*images, *masks)],
        expires_in_s=stores.settings.upload_expiry_s,
        sizes=[file.size for file in (*images, *masks)],
    )
    for upload, file in zip(uploads, (*images, *masks), strict=True):
        stores.blobs.put(upload.key, file.read(), content_type=file.probe.content_type)
    mask_ids: list[str | None] = [upload.id for upload in uploads[len(images) :]]
    one_for_all = "mask" in request.files
    return NewJob(
        images=[
            NewImage(name=file.name, source_upload_id=upload.id, mask_upload_id=mask)
            for file, upload, mask in zip(
                images, uploads, mask_ids if "masks" in request.files else [None] * len(images), strict=False
            )
        ],
        mask_upload_id=mask_ids[0] if one_for_all else None,
        mask=form.place.kept() or None,
        options=form.options.model_dump(mode="json"),
        rights=form.stated.rights,
        retention_s=stores.settings.retention_s(form.stated.retention_days),
        webhook_endpoint_id=form.stated.webhook,
        priority=form.stated.priority,
        deadline=form.stated.deadline,
    )


@dataclass(frozen=True)
class _Form:
    options: JobOptions
    place: InlinePlace
    stated: InlineJob


def _checked_form(settings: Settings) -> _Form:
    known = set(InlineJob.model_fields)
    faults = [
        Fault(pointer=pointer(name), detail="There is no such part; remove it or correct its name.")
        for name in sorted({*request.form, *request.files} - known)
    ]
    faults += [
        Fault(pointer=pointer(name), detail="This part must be a file, with a file name.")
        for name in ("images", "mask", "masks")
        if name in request.form
    ]
    faults += [
        Fault(pointer=pointer(name), detail="This part must be text, without a file name.")
        for name in sorted(known - {"images", "mask", "masks"})
        if name in request.files
    ]
    faults += [
        Fault(pointer=pointer(name), detail="This part may come once only.")
        for name in known - {"images", "masks"}
        if len(request.form.getlist(name)) + len(request.files.getlist(name)) > 1
    ]
    if "mask" in request.files and "masks" in request.files:
        faults.append(Fault(pointer=pointer("masks"), detail="Send either mask or masks, not both."))
    try:
        place = InlinePlace.model_validate_json(request.form.get("mask_place") or "{}")
    except ValidationError as error:
        raise validation_problem(error, prefix=("mask_place",)) from error
    if place.alone and ("mask" in request.files or "masks" in request.files):
        faults.append(Fault(pointer=pointer("mask_place"), detail="Send either boxes, mode: text, or a mask's file."))
    if not place.alone and place.kept() and "mask" not in request.files:
        faults.append(
            Fault(pointer=pointer("mask_place"), detail="Send boxes in it, or the file that it lays as mask.")
        )
    if faults:
        raise Problem("validation_failed", f"{faults[0].pointer}: {faults[0].detail}", faults=faults)
    try:
        check_mode(place.mode, settings, "mask_place/mode")
    except Refused as error:
        place_of = pointer(*error.field.split("/"))
        fault = Fault(pointer=place_of, detail=error.detail)
        raise Problem(error.code, f"{place_of}: {error.detail}", faults=[fault]) from error
    require_rights(request.form.to_dict())
    try:
        options = JobOptions.model_validate_json(request.form.get("options") or "{}")
    except ValidationError as error:
        raise validation_problem(error, prefix=("options",)) from error
    try:
        form = InlineJob.model_validate({"images": [], **request.form.to_dict()})
    except ValidationError as error:
        raise validation_problem(error) from error
    return _Form(options, place, form)


def _checked_files(settings: Settings, place: InlinePlace) -> tuple[list[_File], list[_File]]:
    images, masks = request.files.getlist("images"), request.files.getlist("masks")
    shared = request.files.getlist("mask")
    if not images:
        raise Problem(
            "validation_failed",
            "#/images: Send at least one picture in a part named images.",
            faults=[Fault(pointer=pointer("images"), detail="Send at least one picture in a part of this name.")],
        )
    if len(images) > settings.max_inline_images:
        raise Problem(
            "too_many_images",
            f"A job that brings its pictures along may have {settings.max_inline_images}; this one has {len(images)}. "
            "Send larger jobs by POST /v1/uploads and a JSON body.",
        )
    if not shared and not place.alone and len(masks) < len(images):
        missing = len(masks)
        raise Problem(
            "mask_missing",
            f"Image {missing} has no mask: send one part named mask for all, or as many parts named masks as images; "
            "or boxes, or mode: text, in mask_place.",
            faults=[Fault(pointer=pointer("images", missing), detail="This image has no mask.")],
        )
    if len(masks) > len(images):
        raise Problem(
            "validation_failed",
            f"#/masks: There are {len(masks)} masks and {len(images)} images; send one for each.",
            faults=[Fault(pointer=pointer("masks", len(images)), detail="There is no image for this mask.")],
        )
    found: list[tuple[str, Fault]] = []
    good_images = [_checked(part, settings, "image", pointer("images", i), found) for i, part in enumerate(images)]
    good_masks = [
        _checked(part, settings, "mask", pointer("mask") if shared else pointer("masks", i), found)
        for i, part in enumerate(shared or masks)
    ]
    _refuse(found)
    kept_images = [file for file in good_images if file is not None]
    kept_masks = [file for file in good_masks if file is not None]
    # Where the mask is laid by an anchor, it has no picture's own size.
    for index, image in enumerate(kept_images if kept_masks and place.anchor is None else []):
        mask = kept_masks[0 if shared else index]
        if isinstance(image.probe, Probe) and isinstance(mask.probe, MaskProbe):
            try:
                check_fit(mask.probe.size, width=image.probe.width, height=image.probe.height)
            except MaskRejected as error:
                found.append((error.code, Fault(pointer=pointer("images", index), detail=str(error))))
    _refuse(found)
    return kept_images, kept_masks


def _checked(
    part: FileStorage, settings: Settings, noun: str, place: str, found: list[tuple[str, Fault]]
) -> _File | None:
    """The part as a file, or ``None`` and its fault added to ``found``."""
    try:
        name = clean_filename(part.filename or "")
    except ValueError as error:
        found.append(("validation_failed", Fault(pointer=place, detail=f"{error}.")))
        return None
    size = part.stream.seek(0, io.SEEK_END)
    if size > settings.max_image_bytes:
        detail = f"The {noun} file has {size} bytes; the limit is {settings.max_image_bytes}."
        found.append((f"{noun}_too_large", Fault(pointer=place, detail=detail)))
        return None
    limits = Limits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels)
    look: Callable[[bytes, Limits], Probe | MaskProbe] = probe if noun == "image" else probe_mask
    part.stream.seek(0)
    try:
        return _File(name, look(part.stream.read(), limits), part, size)
    except (ImageRejected, MaskRejected) as error:
        found.append((error.code, Fault(pointer=place, detail=str(error))))
        return None


def _refuse(found: list[tuple[str, Fault]]) -> None:
    if found:
        code, first = found[0]
        raise Problem(code, f"{first.pointer}: {first.detail}", faults=[fault for _, fault in found])
