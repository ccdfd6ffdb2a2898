"""Specifications of templates: the document of a request in the ledger, by the template's kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, assert_never

from pydantic import BaseModel, ConfigDict, Field

from cleanplate.base.documents import Id
from cleanplate.base.masks import Approval, KnownMark, LogoPlace, Placement
from storage.records.states import TemplateKind


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    #: Uploads that it is made of.
    upload_ids: list[Id] = []

    @property
    def held_uploads(self) -> list[str]:
        """All uploads that stay until the template is made, each once, in the order in which they are locked."""
        return sorted(set(self.upload_ids))


class MaskSpec(_Spec):
    """The specification of a template from a mask's file."""

    place: Placement = Field(default_factory=Placement)


class LogoSpec(_Spec):
    """The specification of a template from a logo with alpha."""

    place: LogoPlace = Field(default_factory=LogoPlace)


class EstimateSpec(_Spec, KnownMark, Approval):
    """The specification of a template from pictures that share a mark: uploads, or those of its source job."""

    #: ``auto``: the source job waits for the template. ``None``: a tenant asked for it by itself.
    mode: Literal["auto"] | None = None

    @property
    def held_uploads(self) -> list[str]:
        return sorted({*self.upload_ids, *self.known_uploads})


TemplateSpec = MaskSpec | LogoSpec | EstimateSpec


def kind_of_spec(spec: TemplateSpec) -> TemplateKind:
    """The kind of a template that is made by this spec."""
    match spec:
        case MaskSpec():
            return TemplateKind.MASK
        case LogoSpec():
            return TemplateKind.LOGO
        case EstimateSpec():
            return TemplateKind.ESTIMATE
        case _:
            assert_never(spec)


def read_spec(kind: TemplateKind, document: Mapping[str, Any]) -> TemplateSpec:
    """The spec of a row of ``templates``."""
    match kind:
        case TemplateKind.MASK:
            return MaskSpec.model_validate(document)
        case TemplateKind.LOGO:
            return LogoSpec.model_validate(document)
        case TemplateKind.ESTIMATE:
            return EstimateSpec.model_validate(document)
