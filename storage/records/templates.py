"""Templates, watermarks that many images share: as tenants ask for them, and as workers make and use them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cleanplate.base.templates import TemplatePlace, TemplateProgress, TemplateQuality, TemplateWarning
from storage.records.specs import TemplateSpec, kind_of_spec
from storage.records.states import TemplateKind, TemplateState


@dataclass(frozen=True, kw_only=True)
class NewTemplate:
    """A template to be made."""

    name: str
    spec: TemplateSpec
    #: With ``estimate``: the job whose pictures are the samples, instead of uploads.
    source_job_id: str | None = None
    webhook_endpoint_id: str | None = None

    @property
    def kind(self) -> TemplateKind:
        return kind_of_spec(self.spec)


@dataclass(frozen=True, kw_only=True)
class Template:
    """A watermark that many images share, or the work of making one."""

    id: str
    tenant_id: str
    name: str
    #: Number among the templates of its name, from 1.
    version: int
    kind: TemplateKind
    state: TemplateState
    spec: TemplateSpec
    source_job_id: str | None
    found_with_id: str | None
    #: Anchor, scale, distance and size of the mark; ``None`` until it is made.
    place: TemplatePlace | None
    samples: int | None
    quality: TemplateQuality | None
    #: 0 to 1.
    confidence: float | None
    warnings: list[TemplateWarning]
    file_key: str | None
    #: Blob keys by name.
    previews: dict[str, str]
    webhook_endpoint_id: str | None
    #: While it is made.
    progress: TemplateProgress | None
    attempt: int
    error_code: str | None
    error_detail: str | None
    created_at: datetime
    finished_at: datetime | None
    reviewed_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class SampleSource:
    """A sample picture of a template."""

    name: str
    #: Blank where the picture comes from ``source_url``.
    source_key: str
    source_url: str | None


@dataclass(frozen=True, kw_only=True)
class LeasedTemplate:
    """A template that a worker is to make, with all that it needs for that."""

    id: str
    tenant_id: str
    kind: TemplateKind
    spec: TemplateSpec
    sources: list[SampleSource]
    #: The logo, or the painted picture and its mask, where the look of the mark is known.
    known: list[SampleSource]
    attempt: int


@dataclass(frozen=True, kw_only=True)
class MadeTemplate:
    """A template that a worker has made; its file and previews are already stored."""

    id: str
    place: TemplatePlace
    samples: int
    quality: TemplateQuality | None
    confidence: float
    warnings: list[TemplateWarning]
    file_key: str
    previews: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class UsedTemplate:
    """A template, as the repair of an image needs it."""

    id: str
    file_key: str
