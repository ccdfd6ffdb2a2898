"""Reads a small job whose form contains its pictures (multipart/form-data).

All parts are checked before anything is written. The bytes are then stored as uploads, and one transaction writes the
job. A crash in between leaves uploads that expire, and never half a job.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, cast

from flask import request
from pydantic import TypeAdapter, ValidationError
from werkzeug.datastructures import FileStorage

from api.answers import Fault
from api.bodies import StrictRequest
from api.filenames import clean_filename, clean_path
from api.images import Refused, check_text
from api.marked_shares import CODE, MASKS_LOOKED_AT, share_fault
from api.problems import Problem, pointer, validation_problem
from api.requests import InlineJob, MaskPlace
from api.requests.fields import Labels
from api.requests.jobs import labels_of
from api.rights import require_rights
from api.stores import Stores
from cleanplate.base.masks import BoxesMask, FileMask, TextMask
from cleanplate.base.options import JobOptions
from cleanplate.base.settings import Settings
from model.errors import ImageRejected, MaskRejected
from model.imaging import Limits, MaskProbe, Probe, check_fit, probe, probe_mask
from storage.ledger.tenants.uploads import create_uploads
from storage.records import NewImage, NewJob


class _CodedFault(NamedTuple):
    """A fault, and the code of its problem."""

    code: str
    fault: Fault

    @classmethod
    def of(cls, error: ImageRejected | MaskRejected, place: str) -> _CodedFault:
        return cls(error.code, Fault(pointer=place, code=error.code, detail=str(error)))


@dataclass(frozen=True)
class _File:
    """A good part. Its bytes stay where the form parser put them: in memory if small, else on disk."""

    name: str
    #: Of a file that was sent with its folders.
    path: str | None
    probe: Probe | MaskProbe
    part: FileStorage
    #: In bytes.
    size: int

    def read(self) -> bytes:
        self.part.stream.seek(0)
        return self.part.stream.read()


def read_inline_job(stores: Stores, tenant: str) -> NewJob:
    """Checks the current request's parts and stores their bytes; the job to submit.

    Raises:
        Problem: for the first fault's code, with every part that has one.
    """
    cast(StrictRequest, request).parse_form()
    form = _check_form(stores.settings)
    images, masks = _check_files(stores.settings, form.place)
    _check_marked_shares(stores.settings, form, masks)
    uploads = create_uploads(
        stores.database,
        tenant,
        [(file.name, file.probe.content_type) for file in (*images, *masks)],
        expires_in_s=stores.settings.upload_expiry_s,
        sizes=[file.size for file in (*images, *masks)],
    )
    for upload, file in zip(uploads, (*images, *masks), strict=True):
        stores.blobs.put(upload.key, file.read(), content_type=file.probe.content_type)
    mask_ids = [upload.id for upload in uploads[len(images) :]]
    own_masks: Iterable[FileMask | None] = itertools.repeat(None)
    shared_mask: FileMask | BoxesMask | TextMask | None = form.place.mask
    if "masks" in request.files:
        own_masks = [FileMask(upload_id=mask_id) for mask_id in mask_ids]
    elif "mask" in request.files and form.place.placement is not None:
        shared_mask = FileMask(upload_id=mask_ids[0], **form.place.placement.document())
    return NewJob(
        images=[
            NewImage(name=file.name, path=file.path, source_upload_id=upload.id, mask=mask)
            for file, upload, mask in zip(images, uploads, own_masks, strict=False)
        ],
        mask=shared_mask,
        options=form.options,
        rights=form.basics.rights,
        retention_s=stores.settings.retention_s(form.basics.retention_days),
        webhook_endpoint_id=form.basics.webhook,
        priority=form.basics.priority,
        deadline=form.basics.deadline,
        name=form.basics.name,
        labels=form.labels,
        metadata=form.basics.metadata or {},
    )


@dataclass(frozen=True)
class _Form:
    options: JobOptions
    place: MaskPlace
    basics: InlineJob
    labels: list[str]


def _check_form(settings: Settings) -> _Form:
    known = set(InlineJob.model_fields)
    faults = [
        Fault(pointer=pointer(name), code="field_unknown", detail="Unknown part: remove it or correct its name.")
        for name in sorted({*request.form, *request.files} - known)
    ]
    faults += [
        Fault(pointer=pointer(name), code="part_must_be_file", detail="This part must be a file, with a file name.")
        for name in ("images", "mask", "masks")
        if name in request.form
    ]
    faults += [
        Fault(pointer=pointer(name), code="part_must_be_text", detail="This part must be text, without a file name.")
        for name in sorted(known - {"images", "mask", "masks"})
        if name in request.files
    ]
    faults += [
        Fault(pointer=pointer(name), code="part_repeated", detail="This part may come once only.")
        for name in known - {"images", "masks"}
        if len(request.form.getlist(name)) + len(request.files.getlist(name)) > 1
    ]
    if "mask" in request.files and "masks" in request.files:
        detail = "Send either mask or masks, not both."
        faults.append(Fault(pointer=pointer("masks"), code="masks_both", detail=detail))
    try:
        place = MaskPlace.model_validate_json(request.form.get("mask_place") or "{}")
    except ValidationError as error:
        raise validation_problem(error, prefix=("mask_place",)) from error
    if place.mask is not None and ("mask" in request.files or "masks" in request.files):
        detail = "Send either boxes, mode: text, or a mask's file."
        faults.append(Fault(pointer=pointer("mask_place"), code="masks_both", detail=detail))
    if place.placement is not None and place.placement.document() and "mask" not in request.files:
        detail = "A placement needs the part mask with its file; or send boxes."
        faults.append(Fault(pointer=pointer("mask_place"), code="placement_without_mask", detail=detail))
    if faults:
        raise Problem("validation_failed", f"{faults[0].pointer}: {faults[0].detail}", faults=faults)
    try:
        check_text(place.mask, settings, "mask_place/mode")
    except Refused as error:
        field = pointer(*error.field.split("/"))
        fault = error.fault(field)
        raise Problem(error.code, f"{field}: {error.detail}", faults=[fault]) from error
    require_rights(request.form.to_dict())
    try:
        options = JobOptions.model_validate_json(request.form.get("options") or "{}")
    except ValidationError as error:
        raise validation_problem(error, prefix=("options",)) from error
    try:
        basics = InlineJob.model_validate({"images": [], **request.form.to_dict()})
        labels = TypeAdapter(Labels).validate_python(labels_of(basics.labels))
    except ValidationError as error:
        raise validation_problem(error) from error
    return _Form(options, place, basics, labels)


def _check_files(settings: Settings, place: MaskPlace) -> tuple[list[_File], list[_File]]:
    images, masks = request.files.getlist("images"), request.files.getlist("masks")
    shared = request.files.getlist("mask")
    if not images:
        raise Problem(
            "validation_failed",
            "#/images: Send at least one picture in a part named images.",
            faults=[
                Fault(
                    pointer=pointer("images"),
                    code="field_missing",
                    detail="Send at least one picture in a part of this name.",
                )
            ],
        )
    if len(images) > settings.max_inline_images:
        raise Problem(
            "too_many_images",
            f"A job that brings its pictures along may have {settings.max_inline_images}; this one has {len(images)}. "
            "Send larger jobs by POST /v1/uploads and a JSON body.",
        )
    if not shared and place.mask is None and len(masks) < len(images):
        missing = len(masks)
        raise Problem(
            "mask_missing",
            f"Image {missing} has no mask: send one part named mask for all, or as many parts named masks as images; "
            "or boxes, or mode: text, in mask_place.",
            faults=[Fault(pointer=pointer("images", missing), code="mask_missing", detail="This image has no mask.")],
        )
    if len(masks) > len(images):
        raise Problem(
            "validation_failed",
            f"#/masks: There are {len(masks)} masks and {len(images)} images; send one for each.",
            faults=[
                Fault(
                    pointer=pointer("masks", len(images)),
                    code="image_missing",
                    detail="There is no image for this mask.",
                )
            ],
        )
    faults: list[_CodedFault] = []
    image_files = [_check(part, settings, "image", pointer("images", i), faults) for i, part in enumerate(images)]
    mask_files = [
        _check(part, settings, "mask", pointer("mask") if shared else pointer("masks", i), faults)
        for i, part in enumerate(shared or masks)
    ]
    _refuse(faults)
    good_images = [file for file in image_files if file is not None]
    good_masks = [file for file in mask_files if file is not None]
    # A mask that is laid by an anchor need not have the picture's size.
    is_laid = place.placement is not None and place.placement.anchor is not None
    for index, image in enumerate(good_images if good_masks and not is_laid else []):
        mask = good_masks[0 if shared else index]
        if isinstance(image.probe, Probe) and isinstance(mask.probe, MaskProbe):
            try:
                check_fit(mask.probe.size, width=image.probe.width, height=image.probe.height)
            except MaskRejected as error:
                faults.append(_CodedFault.of(error, pointer("images", index)))
    _refuse(faults)
    return good_images, good_masks


def _check_marked_shares(settings: Settings, form: _Form, masks: list[_File]) -> None:
    """Refuse a job of which most masks mark nearly the whole picture, or are none: swapped black and white, a photo.

    The first masks are looked at, where they are pictures and of their picture's shape.
    """
    is_laid = form.place.placement is not None and form.place.placement.anchor is not None
    pictures = [mask for mask in masks[:MASKS_LOOKED_AT] if mask.probe.content_type != "application/json"]
    faults: list[_CodedFault] = []
    for index, mask in enumerate([] if is_laid else pictures):
        place = pointer("mask") if "mask" in request.files else pointer("masks", index)
        try:
            fault = share_fault(mask.read(), settings, form.options, place)
        except MaskRejected as error:
            faults.append(_CodedFault.of(error, place))
        else:
            faults += [_CodedFault(CODE, fault)] if fault is not None else []
    if 2 * len(faults) > len(pictures):
        _refuse(faults)


def _check(part: FileStorage, settings: Settings, noun: str, place: str, faults: list[_CodedFault]) -> _File | None:
    """The part as a file; ``None``: it is refused, and its fault is added to ``faults``."""
    try:
        filename = part.filename or ""
        name = clean_filename(filename)
        path = clean_path(filename) if "/" in filename else None
    except ValueError as error:
        fault = Fault(pointer=place, code="name_unusable", detail=f"{error}.")
        faults.append(_CodedFault("validation_failed", fault))
        return None
    size = part.stream.seek(0, io.SEEK_END)
    if size > settings.max_image_bytes:
        detail = f"The {noun} file has {size} bytes; the limit is {settings.max_image_bytes}."
        code = f"{noun}_too_large"
        faults.append(_CodedFault(code, Fault(pointer=place, code=code, detail=detail)))
        return None
    limits = Limits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels)
    probe_part: Callable[[bytes, Limits], Probe | MaskProbe] = probe if noun == "image" else probe_mask
    part.stream.seek(0)
    try:
        return _File(name, path, probe_part(part.stream.read(), limits), part, size)
    except (ImageRejected, MaskRejected) as error:
        faults.append(_CodedFault.of(error, place))
        return None


def _refuse(faults: list[_CodedFault]) -> None:
    if faults:
        code, first = faults[0]
        raise Problem(code, f"{first.pointer}: {first.detail}", faults=[fault for _, fault in faults])
