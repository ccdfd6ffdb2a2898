"""Templates of a service, in the hands of whoever has its key: ``client.templates``.

::

    template = client.templates.estimate("spring", pictures)
    template = client.templates.wait(template.id)
    for name in template.previews:
        client.templates.preview(template, name, Path("look") / f"{name}.png")
    client.templates.approve(template.id)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cleanplate.client.answers import TemplateAnswer, TemplateState

if TYPE_CHECKING:
    from cleanplate.client.calls import Calls
    from cleanplate.client.transfers import Transfers

_PATH = "/v1/templates"
#: Seconds between two looks at one that is being made.
_LOOK_S = 1.0


class Templates:
    """What can be done with a tenant's templates. Every method raises as the client's do."""

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
        """The mark that pictures share, or those of a job; ``approval``: ``approve``, ``min_confidence``, ``force``."""
        if bool(pictures) == (job_id is not None):
            raise ValueError("give either pictures or job_id")
        said: dict[str, Any] = dict(approval)
        if job_id is not None:
            said["job_id"] = job_id
        else:
            uploads = self._transfers.upload(pictures, journal=None, on_uploaded=None)
            said["upload_ids"] = [uploads[picture] for picture in pictures]
        return self._make(name, "estimate", said, webhook_id)

    def from_logo(self, name: str, logo: Path, *, webhook_id: str | None = None, **place: Any) -> TemplateAnswer:
        """A logo with alpha; ``place``: ``anchor``, ``margin_x``, ``margin_y``, ``opacity``, ``scale``."""
        return self._make(
            name,
            "logo",
            {"upload_id": self._transfers.upload([logo], journal=None, on_uploaded=None)[logo], **place},
            webhook_id,
        )

    def from_mask(self, name: str, mask: Path, *, webhook_id: str | None = None, **place: Any) -> TemplateAnswer:
        """A mask's file; ``place``: ``anchor`` and ``scale``."""
        return self._make(
            name,
            "mask",
            {"upload_id": self._transfers.upload([mask], journal=None, on_uploaded=None)[mask], **place},
            webhook_id,
        )

    def _sent(self, file: Path) -> str:
        """The id of its upload."""
        return self._transfers.upload([file], journal=None, on_uploaded=None)[file]

    def _make(self, name: str, kind: str, said: Mapping[str, Any], webhook_id: str | None) -> TemplateAnswer:
        body: dict[str, Any] = {"name": name, kind: dict(said)}
        if webhook_id is not None:
            body["webhook_id"] = webhook_id
        return self._calls.call(TemplateAnswer, "POST", _PATH, json=body, repeatable=False)

    def list(self, *, state: TemplateState | None = None, job_id: str | None = None) -> Iterator[TemplateAnswer]:
        """The tenant's templates, newest first, or those found in a job's pictures."""
        query = {"state": state, "job_id": job_id}
        return self._calls.pages(TemplateAnswer, _PATH, {name: said for name, said in query.items() if said})

    def get(self, template_id: str) -> TemplateAnswer:
        """The template as it is now."""
        return self._calls.call(TemplateAnswer, "GET", f"{_PATH}/{template_id}")

    def wait(self, template_id: str, *, on_change: Callable[[TemplateAnswer], None] | None = None) -> TemplateAnswer:
        """Until it is no longer being made; ``on_change`` hears of each look."""
        while True:
            template = self.get(template_id)
            if on_change is not None:
                on_change(template)
            if template.state != "estimating":
                return template
            time.sleep(_LOOK_S)

    def approve(self, template_id: str) -> TemplateAnswer:
        """It is the mark: jobs may name it."""
        return self._calls.call(TemplateAnswer, "POST", f"{_PATH}/{template_id}/approve")

    def reject(self, template_id: str) -> TemplateAnswer:
        """It is not the mark."""
        return self._calls.call(TemplateAnswer, "POST", f"{_PATH}/{template_id}/reject")

    def delete(self, template_id: str) -> None:
        """Forget it, with its files."""
        self._calls.drop(f"{_PATH}/{template_id}")

    def preview(self, template: TemplateAnswer, name: str, path: Path) -> None:
        """Fetch a picture to look at into ``path``, whole or not at all."""
        self._transfers.fetch(template.previews[name], path, name=name)
