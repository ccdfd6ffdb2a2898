"""Watermarks known for many images."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import Field

from api.answers.base import Answer
from api.answers.jobs import ImageError
from api.example_ids import TEMPLATE_ID
from cleanplate.base.templates import TemplatePlace, TemplateProgress, TemplateQuality, TemplateWarning
from storage import records
from storage.records import (
    TemplateKind,
    TemplateState,
)


class Template(Answer):
    """A watermark known for many images."""

    id: str = Field(examples=[TEMPLATE_ID])
    name: str
    version: int = Field(description="Among those of its name, from 1.")
    kind: TemplateKind = Field(description="The template's source: a `mask`, a `logo`, or pictures (`estimate`).")
    state: TemplateState = Field(description="Jobs may name a template that is `ready`.")
    progress: TemplateProgress | None = Field(description="The progress while it is made; null before and after.")
    attempt: int = Field(description="Number of times that a worker began to make it.")
    error: ImageError | None = Field(description="The reason why it could not be made.")
    warnings: list[str] = Field(description="Sentences for the person who reviews it.")
    cautions: list[TemplateWarning] = Field(description="The same as `warnings`, each with its code and parameters.")
    confidence: float | None = Field(description="0 to 1: `approve: auto` compares it; null until it is made.")
    samples: int | None = Field(description="Number of pictures that it was estimated from.")
    quality: TemplateQuality | None = Field(
        description="How well its opacity, colour and place are known; null where it was not estimated."
    )
    place: TemplatePlace | None = Field(
        description="Its size, its anchor, and whether it grows with the picture; null until it is made."
    )
    previews: dict[str, str] = Field(
        description="Paths of preview pictures, by name: `mask`, `opacity`, `colour`, `before-1`, `after-1` and so on.",
        examples=[{"mask": f"/v1/templates/{TEMPLATE_ID}/previews/mask"}],
    )
    source_job_id: str | None = Field(description="The job in whose pictures it was found.")
    found_with: str | None = Field(description="The template beside which it was found, in the same pictures.")
    webhook_id: str | None
    created_at: datetime
    finished_at: datetime | None
    reviewed_at: datetime | None

    @classmethod
    def of(cls, template: records.Template) -> Self:
        """The answer of the ledger's record."""
        same = ("id", "name", "version", "kind", "state", "progress", "confidence", "samples")
        facts = ("quality", "place")
        times = ("attempt", "source_job_id", "created_at", "finished_at", "reviewed_at")
        path = f"/v1/templates/{template.id}/previews"
        failed = template.error_code is not None
        return cls(
            **{name: getattr(template, name) for name in (*same, *facts, *times)},
            error=ImageError(code=template.error_code or "", detail=template.error_detail or "") if failed else None,
            warnings=[warning.detail for warning in template.warnings],
            cautions=template.warnings,
            previews={name: f"{path}/{name}" for name in template.previews},
            found_with=template.found_with_id,
            webhook_id=template.webhook_endpoint_id,
        )


class TemplatePage(Answer):
    """A part of the list of templates, newest first."""

    data: list[Template]
    next_cursor: str | None = Field(description="The cursor of the next part; null at the end.")
