"""Bodies of ``POST /v1/jobs``, and the uploads that they name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypedDict

from pydantic import BaseModel

from cleanplate.base.destinations import Destination
from cleanplate.base.documents import JsonObject
from cleanplate.base.mail import Mail
from cleanplate.base.masks import Approval, AutoMask, JobMask
from cleanplate.base.options import ImageOptions, JobOptions
from cleanplate.client.answers import ImageReview, ImageState, JobKind, JobState, Rights

Priority = Literal["interactive", "bulk"]
#: A mask's file, one of :mod:`cleanplate.base.masks`, or its JSON: ``{"template": id}``, ``{"boxes": […]}``.
Mask = Path | JobMask | Mapping[str, Any]


@dataclass(frozen=True)
class LogoMark:
    """A job's mask: the mark of which ``logo`` is the file, a picture with alpha; it is found in the job's pictures."""

    logo: Path
    #: Who approves the mark that is found.
    approval: Approval = field(default_factory=Approval)


#: The mask of a job.
MaskOfJob = Mask | LogoMark


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One image of a job with values of its own: a ``file`` to upload, or a ``url`` that the service fetches.

    ``mask`` and ``options`` win over the job's. ``custom_id`` comes back in all lists, results and errors.
    """

    file: Path | None = None
    #: ``https://`` of a public server, or ``s3://bucket/key`` of an allowed bucket.
    url: str | None = None
    #: Its file name; ``None``: the file's own, or the last part of the address.
    name: str | None = None
    #: Where it lies in your own folders, with its file name; results and ZIP keep it.
    path: str | None = None
    custom_id: str | None = None
    #: Up to 16 texts of your own.
    metadata: Mapping[str, str] | None = None
    mask: Mask | None = None
    options: ImageOptions | Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if (self.file is None) == (self.url is None):
            raise ValueError("give either file or url")

    def files(self) -> Iterator[Path]:
        """The files to upload."""
        yield from (file for file in (self.file, self.mask) if isinstance(file, Path))

    def body(self, uploads: Mapping[Path, str]) -> JsonObject:
        """The image in the request's body."""
        source = {"url": self.url} if self.file is None else {"upload_id": uploads[self.file]}
        name = self.name or (self.file.name if self.file is not None else None)
        own = {
            "name": name,
            "path": self.path,
            "custom_id": self.custom_id,
            "metadata": None if self.metadata is None else dict(self.metadata),
            "options": _json_of(self.options),
        }
        return {
            **source,
            **{key: value for key, value in own.items() if value is not None},
            **mask_fields(self.mask, uploads),
        }


class Terms(TypedDict, total=False):
    """The fields of a job beside its images, its mask and its rights; all are optional."""

    #: ``JobOptions``, or their JSON: ``dilation_px``, ``output`` and so on.
    options: JobOptions | Mapping[str, Any] | None
    #: The webhook that gets ``job.completed`` and ``image.failed``.
    webhook_id: str | None
    #: Further webhooks, and one of this job alone: its ``url``, your own ``secret`` and its ``events``.
    webhook_ids: Sequence[str] | None
    webhook: Mapping[str, Any] | None
    #: The address that is mailed at the job's end: ``{"to": "photos@shop.example", "language": "en"}``.
    mail: Mail | Mapping[str, Any] | None
    #: ``interactive`` overtakes ``bulk``.
    priority: Priority
    #: Images that wait for a worker at this time fail. Local time where it names no zone.
    deadline: datetime | None
    #: Days from its end until the job is deleted with all its files.
    retention_days: int | None
    #: A name for people; up to 16 labels; up to 16 texts of your own by key. Lists filter by them.
    name: str | None
    labels: Sequence[str] | None
    metadata: Mapping[str, str] | None
    #: Where each result is written as well: ``s3://bucket/prefix/{path}``, or with headers.
    destination: str | Destination | Mapping[str, Any] | None
    #: ``repair`` keeps it out of the catalogue's lists.
    kind: JobKind | None


class JobFilters(TypedDict, total=False):
    """The filters of a list of jobs; all of them hold together. Times are local where they name no zone."""

    state: JobState | None
    kind: JobKind | Literal["any"] | None
    #: All of these.
    labels: Sequence[str]
    metadata: Mapping[str, str]
    created_after: datetime | None
    created_before: datetime | None
    #: The API key that submitted it.
    key_id: str | None
    webhook_id: str | None
    #: Words of its name.
    words: str | None


class ImageFilters(TypedDict, total=False):
    """The filters of a list of images; all of them hold together."""

    state: ImageState | None
    error_code: str | None
    custom_id: str | None
    metadata: Mapping[str, str]
    #: Words of its name or its ``custom_id``.
    words: str | None
    #: A person's judgement.
    review: ImageReview | None


def job_query(filters: JobFilters) -> dict[str, str | None]:
    """The query of a list of jobs."""
    return {
        "state": filters.get("state"),
        "kind": filters.get("kind"),
        "label": ",".join(filters.get("labels", ())) or None,
        "metadata": _json_text(filters.get("metadata")),
        "created_after": _time_text(filters.get("created_after")),
        "created_before": _time_text(filters.get("created_before")),
        "key_id": filters.get("key_id"),
        "webhook_id": filters.get("webhook_id"),
        "q": filters.get("words"),
    }


def image_query(filters: ImageFilters) -> dict[str, str | None]:
    """The query of a list of images."""
    return {
        "state": filters.get("state"),
        "error_code": filters.get("error_code"),
        "custom_id": filters.get("custom_id"),
        "metadata": _json_text(filters.get("metadata")),
        "q": filters.get("words"),
        "review": filters.get("review"),
    }


class RedoTerms(TypedDict, total=False):
    """How images are done again; what is missing is as in their job."""

    #: They win over the options of job and images.
    options: ImageOptions | Mapping[str, Any] | None
    #: Whether the results replace those of the images (the default), or stand beside.
    replace: bool
    name: str | None
    priority: Priority | None
    destination: str | Destination | Mapping[str, Any] | None
    webhook_id: str | None
    retention_days: int | None


def redo_body(terms: RedoTerms) -> JsonObject:
    """The fields of the body for the terms."""
    destination = terms.get("destination")
    given: JsonObject = {
        **terms,
        "options": _json_of(terms.get("options")),
        "destination": destination if isinstance(destination, str) else _json_of(destination),
    }
    return {name: value for name, value in given.items() if value is not None}


def search_query(sha256: str | None, job: JobFilters, image: ImageFilters) -> dict[str, str | None]:
    """The query of a search for images in all jobs. Raises ValueError: it filters by the job's state."""
    of_job = job_query(job)
    if of_job.pop("state") is not None:
        raise ValueError("images are not searched by the state of their job")
    renamed = {"label": "job_label", "metadata": "job_metadata", "q": "job_q"}
    return {
        "sha256": sha256,
        **{renamed.get(name, name): value for name, value in of_job.items()},
        **image_query(image),
    }


def _json_text(value: Mapping[str, str] | None) -> str | None:
    return json.dumps(dict(value)) if value else None


def _time_text(value: datetime | None) -> str | None:
    return None if value is None else value.astimezone().isoformat()


def terms_body(rights: Rights, terms: Terms) -> JsonObject:
    """The fields of the body for rights and terms."""
    webhook_ids = terms.get("webhook_ids")
    labels, metadata, destination = terms.get("labels"), terms.get("metadata"), terms.get("destination")
    optional = {
        "destination": destination if isinstance(destination, str) else _json_of(destination),
        "kind": terms.get("kind"),
        "name": terms.get("name"),
        "labels": None if labels is None else list(labels),
        "metadata": None if metadata is None else dict(metadata),
        "priority": terms.get("priority"),
        "deadline": _time_text(terms.get("deadline")),
        "webhook_id": terms.get("webhook_id"),
        "webhook_ids": None if webhook_ids is None else list(webhook_ids),
        "webhook": _json_of(terms.get("webhook")),
        "mail": _json_of(terms.get("mail")),
        "retention_days": terms.get("retention_days"),
    }
    return {
        "options": _json_of(terms.get("options")) or {},
        "rights_basis": rights.basis,
        "attested_by": rights.attested_by,
        "rights_reference": rights.reference,
        **{name: value for name, value in optional.items() if value is not None},
    }


def mask_files(mask: MaskOfJob | None) -> list[Path]:
    """The files of a mask that are to be uploaded."""
    if isinstance(mask, LogoMark):
        return [mask.logo]
    return [mask] if isinstance(mask, Path) else []


def mask_fields(mask: MaskOfJob | None, uploads: Mapping[Path, str]) -> JsonObject:
    """The field of the body for a mask, of a job or of one image."""
    if mask is None:
        return {}
    if isinstance(mask, LogoMark):
        look = {"mode": "auto", "logo_upload_id": uploads[mask.logo]}
        return {"mask": _json_of(AutoMask.model_validate({**look, **mask.approval.model_dump()}))}
    return {"mask_upload_id": uploads[mask]} if isinstance(mask, Path) else {"mask": _json_of(mask)}


def _json_of(value: BaseModel | Mapping[str, Any] | None) -> JsonObject | None:
    if value is None:
        return None
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else dict(value)


def pictures_of(
    images: Sequence[Path | Picture], masks: Path | Sequence[Path], mask: MaskOfJob | None
) -> tuple[list[Picture], MaskOfJob | None]:
    """The images as pictures, each with its mask of ``masks``, and the mask of the job.

    One mask of all pictures is the job's: what is under it can be learned from all of them.

    Raises:
        ValueError: the numbers of images and masks do not fit, or a mask is given twice.
    """
    pictures = [image if isinstance(image, Picture) else Picture(file=image) for image in images]
    if not isinstance(masks, Path) and not masks:
        if mask is None and any(picture.mask is None for picture in pictures):
            raise ValueError("give masks, a mask of the job, or a mask with each picture")
        return pictures, mask
    if mask is not None or any(picture.mask is not None for picture in pictures):
        raise ValueError("give masks either here, with the job or with the pictures")
    own = [masks] * len(pictures) if isinstance(masks, Path) else list(masks)
    if len(own) != len(pictures):
        raise ValueError(f"{len(pictures)} images and {len(own)} masks")
    if len(set(own)) == 1:
        return pictures, own[0]
    return [replace(picture, mask=mask_file) for picture, mask_file in zip(pictures, own, strict=True)], None
