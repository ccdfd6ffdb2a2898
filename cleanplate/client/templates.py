"""Templates of a tenant: ``client.templates``.

::

    template = client.templates.estimate("spring", pictures)
    template = client.templates.wait(template.id)
    for name in template.previews:
        client.templates.preview(template, name, Path("look") / f"{name}.png")
    client.templates.approve(template.id)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cleanplate.base.documents import JsonObject
from cleanplate.client.answers import TemplateAnswer, TemplateState
from cleanplate.client.calls import Calls
from cleanplate.client.transfers import Transfers

_PATH = "/v1/templates"
#: Seconds between two polls of a template that is being estimated.
_POLL_S = 1.0


class Templates:
    """The tenant's templates. Every method raises as the client's do."""

    def __init__(self, calls: Calls, transfers: Transfers) -> None:
        self._calls = calls
        self._transfers = transfers

    def estimate(
        self,
        name: str,
        pictures: Sequence[Path] = (),
        *,
        job_id: str | None = None,
        webhook_id: str | None = None,
        **approval: Any,
    ) -> TemplateAnswer:
        """Begin to estimate the mark that pictures share, or those of a job.

        ``approval``: ``approve``, ``min_confidence`` and ``force`` as in the API's ``EstimateSource``.
        """
        source = self._pictures(pictures, job_id)
        return self._create(name, "estimate", {**approval, **source}, webhook_id)

    def from_logo(
        self,
        name: str,
        logo: Path,
        pictures: Sequence[Path] = (),
        *,
        job_id: str | None = None,
        webhook_id: str | None = None,
        **place: Any,
    ) -> TemplateAnswer:
        """Create a template of a logo with alpha.

        With ``pictures`` or ``job_id`` the logo is searched in them, in any place, size, opacity and colour; one
        picture is enough. Without them ``place`` says where it lies: ``anchor``, ``margin_x``, ``margin_y``,
        ``opacity`` and ``scale`` as in the API's ``LogoSource``.
        """
        if not pictures and job_id is None:
            return self._create(name, "logo", {"upload_id": self._upload(logo), **place}, webhook_id)
        if place:
            raise ValueError("give either pictures to search the logo in, or its place")
        source = {"logo_upload_id": self._upload(logo), **self._pictures(pictures, job_id)}
        return self._create(name, "estimate", source, webhook_id)

    def from_mark(
        self,
        name: str,
        picture: Path,
        mask: Path,
        pictures: Sequence[Path] = (),
        *,
        job_id: str | None = None,
        webhook_id: str | None = None,
    ) -> TemplateAnswer:
        """Create a template of the mark that ``mask`` (white on the mark) paints over in ``picture``.

        It is searched in ``pictures``, or in those of a job.
        """
        painted = {"upload_id": self._upload(picture), "mask_upload_id": self._upload(mask)}
        return self._create(name, "estimate", {"painted": painted, **self._pictures(pictures, job_id)}, webhook_id)

    def from_mask(self, name: str, mask: Path, *, webhook_id: str | None = None, **place: Any) -> TemplateAnswer:
        """Create a template of a mask's file; ``place``: ``anchor`` and ``scale``."""
        return self._create(name, "mask", {"upload_id": self._upload(mask), **place}, webhook_id)

    def list(self, *, state: TemplateState | None = None, job_id: str | None = None) -> Iterator[TemplateAnswer]:
        """The tenant's templates, newest first, or those found in a job's pictures."""
        return self._calls.pages(TemplateAnswer, _PATH, {"state": state, "job_id": job_id})

    def get(self, template_id: str) -> TemplateAnswer:
        """The template's current state."""
        return self._calls.call(TemplateAnswer, "GET", f"{_PATH}/{template_id}")

    def wait(self, template_id: str, *, on_change: Callable[[TemplateAnswer], None] | None = None) -> TemplateAnswer:
        """Wait for the end of the estimate; ``on_change`` gets the answer of each poll."""
        while True:
            template = self.get(template_id)
            if on_change is not None:
                on_change(template)
            if template.state != "estimating":
                return template
            self._calls.retries.sleep(_POLL_S)

    def approve(self, template_id: str) -> TemplateAnswer:
        """Confirm that it is the mark: jobs may name it."""
        return self._calls.call(TemplateAnswer, "POST", f"{_PATH}/{template_id}/approve")

    def reject(self, template_id: str) -> TemplateAnswer:
        """State that it is not the mark."""
        return self._calls.call(TemplateAnswer, "POST", f"{_PATH}/{template_id}/reject")

    def delete(self, template_id: str) -> None:
        """Delete it with its files."""
        self._calls.delete(f"{_PATH}/{template_id}")

    def preview(self, template: TemplateAnswer, name: str, path: Path) -> None:
        """Fetch a preview picture into ``path``, whole or not at all."""
        self._transfers.fetch_linked(template.previews[name], path, name=name)

    def _pictures(self, pictures: Sequence[Path], job_id: str | None) -> JsonObject:
        """The fields of a source that name pictures: sent now, or a job's."""
        if bool(pictures) == (job_id is not None):
            raise ValueError("give either pictures or job_id")
        if job_id is not None:
            return {"job_id": job_id}
        uploads = self._transfers.upload(pictures)
        return {"upload_ids": [uploads[picture] for picture in pictures]}

    def _upload(self, file: Path) -> str:
        return self._transfers.upload([file])[file]

    def _create(self, name: str, kind: str, source: Mapping[str, Any], webhook_id: str | None) -> TemplateAnswer:
        body: JsonObject = {"name": name, kind: dict(source)}
        if webhook_id is not None:
            body["webhook_id"] = webhook_id
        return self._calls.call(TemplateAnswer, "POST", _PATH, json=body, once=True)
