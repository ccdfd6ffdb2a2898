"""The Python client of the HTTP API: submits files, follows a job, fetches results.

Pixels go straight to the object store through presigned links, a few at a time; the API key is sent to the API alone::

    rights = Rights(basis="owner", attested_by="Jo Doe", reference="own photographs")
    with Client("http://127.0.0.1:8787", key) as client:
        job = client.submit([Path("a.jpg"), Path("b.jpg")], masks=Path("mask.png"), rights=rights)
        job.wait()
        job.download(Path("clean"))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from uuid import uuid4

import httpx

from cleanplate.client.answers import ImageAnswer, ImageState, JobAnswer, ResultLine, Rights, WebhookAnswer
from cleanplate.client.calls import Calls
from cleanplate.client.following import AGAIN_S, Event, Patience, follow, refusal
from cleanplate.client.job import Job
from cleanplate.client.journal import Journal
from cleanplate.client.retries import Retries
from cleanplate.client.templates import Templates
from cleanplate.client.transfers import Transfers
from cleanplate.errors import Refused

#: Seconds that the service may hold a long poll; under the time-out of an answer.
LONG_POLL_S = 25
#: Files with more bytes are sent in parts.
WHOLE_BYTES = 64 * 1024 * 1024


class Client:
    """A connection to one service with one key; a context manager, usable from several threads.

    ``transfers`` files travel at the same time, or so many parts of a file that has more than ``whole_bytes``.
    Transient failures are tried again with growing, random waits.
    Who waits for a job bears with a service that is away for up to ``patience_s``.

    Raises, from every method:
        Refused: the service said no; ``code`` says why.
        ServiceUnreachable: no usable answer, also after the retries.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        transfers: int = 4,
        whole_bytes: int = WHOLE_BYTES,
        retries: Retries | None = None,
        patience_s: float = 600.0,
    ) -> None:
        self._calls = Calls(url, api_key, retries or Retries())
        self._transfers = Transfers(self._calls, transfers, whole_bytes)
        #: Marks that are known for many images.
        self.templates = Templates(self._calls, self._transfers)
        self._patience_s = patience_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The service's address, where its web page is as well."""
        return self._calls.url

    def close(self) -> None:
        """Close the connections."""
        self._calls.http.close()
        self._transfers.http.close()

    def submit(
        self,
        images: Sequence[Path],
        *,
        masks: Path | Sequence[Path] = (),
        mask: Mapping[str, Any] | None = None,
        rights: Rights,
        options: Mapping[str, Any] | None = None,
        webhook_id: str | None = None,
        priority: Literal["interactive", "bulk"] = "bulk",
        deadline: datetime | None = None,
        idempotency_key: str | None = None,
        journal: Journal | None = None,
        on_uploaded: Callable[[int], None] | None = None,
    ) -> Job:
        """Upload the images and their masks and submit them as one job, in this order, by these rights.

        ``masks`` is one file for all images, or one file for each (the same file may stand for many; it travels once).
        Instead of masks, ``mask`` is what the API takes as a job's: ``{"template": id}``, ``{"mode": "auto"}``, or
        ``{"mode": "text", "texts": ["© Doe Shirts"]}``.
        ``interactive`` overtakes ``bulk``; images that wait for a worker at the ``deadline`` fail.
        ``idempotency_key``: a name of your own for this submission; given again with the same body within 24 hours, it
        gets the same job. With a ``journal``, a submission that was interrupted goes on where it was. ``on_uploaded``
        hears, from several threads, how many files have just arrived.
        """
        mask_of = [masks] * len(images) if isinstance(masks, Path) else list(masks)
        if len(mask_of) != (len(images) if mask is None else 0):
            raise ValueError(f"{len(images)} images and {len(mask_of)} masks" + (", and a mask" if mask else ""))
        files = list(dict.fromkeys([*images, *mask_of]))

        def body() -> dict[str, Any]:
            uploads = self.upload(files, journal=journal, on_uploaded=on_uploaded)
            named = [{"upload_id": uploads[image], "name": image.name} for image in images]
            for image, own in zip(named, mask_of, strict=False):
                image["mask_upload_id"] = uploads[own]
            whole = {} if mask is None else {"mask": dict(mask)}
            return {"images": named, **whole, **_terms(rights, options, webhook_id, priority, deadline)}

        return self._submit(body, idempotency_key, journal)

    def submit_manifest(
        self,
        manifest: Path,
        *,
        rights: Rights,
        mask: Path | Mapping[str, Any] | None = None,
        on_error: Literal["reject", "skip"] = "reject",
        options: Mapping[str, Any] | None = None,
        webhook_id: str | None = None,
        priority: Literal["interactive", "bulk"] = "bulk",
        deadline: datetime | None = None,
        idempotency_key: str | None = None,
        journal: Journal | None = None,
        on_uploaded: Callable[[int], None] | None = None,
    ) -> Job:
        """Submit a file that lists pictures (CSV or JSON Lines, up to 100,000 rows) as one job.

        ``mask`` of all rows without their own: a file, or what the API takes as a job's. ``on_error``: what a bad row
        does.
        """
        files = [manifest, mask] if isinstance(mask, Path) else [manifest]

        def body() -> dict[str, Any]:
            uploads = self.upload(files, journal=journal, on_uploaded=on_uploaded)
            terms = {
                "manifest": {"upload_id": uploads[manifest], "on_error": on_error},
                **_terms(rights, options, webhook_id, priority, deadline),
            }
            return terms | (
                {"mask_upload_id": uploads[mask]}
                if isinstance(mask, Path)
                else {"mask": dict(mask)}
                if mask is not None
                else {}
            )

        return self._submit(body, idempotency_key, journal)

    def submit_folder(
        self,
        url: str,
        *,
        rights: Rights,
        mask: Path | Mapping[str, Any],
        options: Mapping[str, Any] | None = None,
        webhook_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Submit every picture under ``s3://bucket/prefix/`` as one job; its ``custom_id`` is the rest of its key."""

        def body() -> dict[str, Any]:
            place = {"mask_upload_id": self.upload([mask])[mask]} if isinstance(mask, Path) else {"mask": dict(mask)}
            return {"folder": url, **place, **_terms(rights, options, webhook_id, "bulk", None)}

        return self._submit(body, idempotency_key, None)

    def upload(
        self,
        files: Sequence[Path],
        *,
        journal: Journal | None = None,
        on_uploaded: Callable[[int], None] | None = None,
    ) -> dict[Path, str]:
        """Send files to the object store; their upload ids. What the ``journal`` says has arrived is not sent again."""
        return self._transfers.upload(files, journal=journal, on_uploaded=on_uploaded)

    def job(self, job_id: str) -> JobAnswer:
        """The job as it is now."""
        return self._calls.call(JobAnswer, "GET", f"/v1/jobs/{job_id}")

    def handle(self, job_id: str) -> Job:
        """A job that was submitted before."""
        return Job(self, self.job(job_id))

    def jobs(self) -> Iterator[JobAnswer]:
        """All jobs of the key's tenant, newest first, fetched page by page."""
        return self._calls.pages(JobAnswer, "/v1/jobs", {})

    def images(self, job_id: str, *, state: ImageState | None = None) -> Iterator[ImageAnswer]:
        """The job's images by position, fetched page by page."""
        return self._calls.pages(ImageAnswer, f"/v1/jobs/{job_id}/images", {} if state is None else {"state": state})

    def results(self, job_id: str) -> Iterator[ResultLine]:
        """The manifest of a job's results, in the job's order."""
        return self._calls.lines(ResultLine, f"/v1/jobs/{job_id}/results")

    def cancel(self, job_id: str) -> JobAnswer:
        """Stop the job: images that have not ended end as ``canceled``."""
        return self._calls.call(JobAnswer, "POST", f"/v1/jobs/{job_id}/cancel")

    def approve(self, job_id: str, templates: Sequence[str] | None = None) -> JobAnswer:
        """Let a job begin that needs review: with what was found in its pictures, or with other templates."""
        body = {} if templates is None else {"templates": list(templates)}
        return self._calls.call(JobAnswer, "POST", f"/v1/jobs/{job_id}/approve", json=body)

    def wait(
        self, job_id: str, *, on_change: Callable[[JobAnswer], None] | None = None, or_review: bool = False
    ) -> JobAnswer:
        """Until the job has ended, by long polls; ``on_change`` sees it at once and after each change.

        ``or_review``: or until it waits for a person, who looks at the mark that was found.
        A service that is away, because it is renewed for instance, is waited for as long as ``patience_s``.
        """
        patience, tag = Patience(self._patience_s), ""
        while True:
            try:
                answer = self._calls.http.get(
                    f"{self._calls.url}/v1/jobs/{job_id}",
                    params={"wait": str(LONG_POLL_S)} if tag else {},
                    headers={"If-None-Match": tag} if tag else {},
                )
                if not answer.is_success and answer.status_code != httpx.codes.NOT_MODIFIED:
                    raise refusal(answer)
            except Refused as error:
                patience.bear(error)
                self._calls.retries.sleep(error.retry_after_s or AGAIN_S)
                continue
            except httpx.TransportError as error:
                patience.bear(self._calls.unreachable(error))
                self._calls.retries.sleep(AGAIN_S)
                continue
            patience.heard()
            if answer.status_code == httpx.codes.NOT_MODIFIED:
                continue
            tag = answer.headers.get("etag", "")
            job = self._calls.parse(JobAnswer, answer.text)
            if on_change is not None:
                on_change(job)
            if job.ended or (or_review and job.state == "needs_review"):
                return job
            if not tag:
                self._calls.retries.sleep(AGAIN_S)

    def events(self, job_id: str) -> Iterator[JobAnswer]:
        """The job now and whenever it has changed, until it has ended or was deleted: server-sent events."""
        for event in self._follow(f"/v1/jobs/{job_id}/events"):
            if event.kind in {"progress", "end"}:
                yield self._calls.parse(JobAnswer, event.data)
            if event.kind in {"end", "gone"}:
                return

    def all_events(self) -> Iterator[JobAnswer]:
        """Every job of the tenant that is open or has changed, for ever."""
        for event in self._follow("/v1/events"):
            yield self._calls.parse(JobAnswer, event.data)

    def download(self, image: ImageAnswer | ResultLine, path: Path) -> None:
        """Fetch an image's result into ``path``, whole or not at all; where its SHA-256 is known it is checked."""
        self._transfers.download(image, path)

    def download_all(
        self,
        wanted: Mapping[Path, ImageAnswer] | Mapping[Path, ResultLine],
        *,
        on_done: Callable[[int], None] | None = None,
    ) -> None:
        """Fetch results into their paths, a few at a time."""
        self._transfers.download_all(wanted, on_done)

    def create_webhook(self, url: str, *, events: Sequence[str] | None = None) -> WebhookAnswer:
        """An endpoint for this tenant's events, the usual ones or ``events``; its ``secret`` is told only now."""
        body: dict[str, Any] = {"url": url} | ({} if events is None else {"events": list(events)})
        return self._calls.call(WebhookAnswer, "POST", "/v1/webhooks", json=body, repeatable=False)

    def _submit(self, body_of: Callable[[], dict[str, Any]], key: str | None, journal: Journal | None) -> Job:
        """The job of this body, one however often it is sent. Uploads of the journal that expired are sent again."""
        if journal is None:
            return Job(self, self._post(body_of(), key or uuid4().hex))
        body = body_of()
        made = journal.job_of(body)
        if made is not None:
            return self.handle(made)
        try:
            answer = self._post(body, key or journal.key_for(body))
        except Refused as error:
            if error.code != "upload_unknown":
                raise
            journal.forget_uploads()
            body = body_of()
            answer = self._post(body, key or journal.key_for(body))
        journal.note_job(answer.id, body)
        return Job(self, answer)

    def _post(self, body: dict[str, Any], key: str) -> JobAnswer:
        return self._calls.call(JobAnswer, "POST", "/v1/jobs", json=body, headers={"Idempotency-Key": key})

    def _follow(self, path: str) -> Iterator[Event]:
        patience = Patience(self._patience_s)
        return follow(self._calls.http, self._calls.url + path, patience=patience, sleep=self._calls.retries.sleep)


def _terms(
    rights: Rights,
    options: Mapping[str, Any] | None,
    webhook_id: str | None,
    priority: str,
    deadline: datetime | None,
) -> dict[str, Any]:
    """What every job states beside its images."""
    terms: dict[str, Any] = {
        "options": dict(options or {}),
        "rights_basis": rights.basis,
        "attested_by": rights.attested_by,
        "rights_reference": rights.reference,
    }
    if priority != "bulk":
        terms["priority"] = priority
    if deadline is not None:
        terms["deadline"] = deadline.astimezone().isoformat()
    if webhook_id is not None:
        terms["webhook_id"] = webhook_id
    return terms
