"""The Python client of the HTTP API: submits files, follows a job, fetches results.

Pictures go straight to the object store through presigned links, several at a time; only the API gets the API key::

    rights = Rights(basis="owner", attested_by="Jo Doe", reference="own photographs")
    with Client("http://127.0.0.1:8787", key) as client:
        job = client.submit([Path("a.jpg"), Path("b.jpg")], masks=Path("mask.png"), rights=rights)
        job.wait()
        job.download(Path("clean"))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, Unpack
from uuid import uuid4

import httpx

from cleanplate.base.documents import JsonObject
from cleanplate.client.answers import (
    DeviceAnswer,
    DryRun,
    ErrorLine,
    ImageAnswer,
    ImageReview,
    ImageState,
    JobAnswer,
    JobOverview,
    PauseAnswer,
    ReadinessAnswer,
    ResultLine,
    Reviewed,
    Rights,
    SkippedLine,
    UsageAnswer,
)
from cleanplate.client.calls import TIMEOUT, Calls
from cleanplate.client.endpoints import Webhooks
from cleanplate.client.following import RESUME_S, Event, Patience, follow
from cleanplate.client.job import Job
from cleanplate.client.journal import Journal
from cleanplate.client.refusals import refusal
from cleanplate.client.requests import (
    ImageFilters,
    JobFilters,
    Mask,
    MaskOfJob,
    Picture,
    RedoTerms,
    Terms,
    image_query,
    job_query,
    mask_fields,
    mask_files,
    pictures_of,
    redo_body,
    search_query,
    terms_body,
)
from cleanplate.client.retries import Retries
from cleanplate.client.templates import Templates
from cleanplate.client.transfers import Transfers
from cleanplate.errors import Refused

#: Seconds that the service may hold a long poll; less than the time-out of an answer.
LONG_POLL_S = 25
#: For answers to requests that have the service list a bucket, which takes minutes for 100,000 keys.
LISTING = httpx.Timeout(600.0, connect=10.0)
#: Images that one request judges.
REVIEWED_AT_ONCE = 1000
#: Files with more bytes are sent in parts.
WHOLE_BYTES = 64 * 1024 * 1024


class Client:
    """A connection to one service with one key; a context manager, usable from several threads.

    ``transfers`` files travel at the same time, or that many parts of a file of more than ``whole_bytes``.
    Transient failures are retried with growing, random waits. Methods that wait for a job bear an outage of the
    service of up to ``patience_s``. ``http`` is a configured ``httpx.Client`` (proxy, certificates, time-outs) for
    the API and the object store; its owner closes it.

    Raises, from every method:
        Refused: the service refused; ``code`` says why.
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
        http: httpx.Client | None = None,
    ) -> None:
        self._owns_http = http is None
        self._calls = Calls(url, api_key, retries or Retries(), http or httpx.Client(timeout=TIMEOUT))
        self._transfers = Transfers(self._calls, transfers, whole_bytes)
        #: Marks that are known for many images.
        self.templates = Templates(self._calls, self._transfers)
        #: Addresses that hear of events.
        self.webhooks = Webhooks(self._calls)
        self._patience_s = patience_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The service's address, also of its web page."""
        return self._calls.url

    def close(self) -> None:
        """Close the connections of the client's own ``httpx.Client``."""
        if self._owns_http:
            self._calls.http.close()

    def submit(
        self,
        images: Sequence[Path | Picture],
        *,
        masks: Path | Sequence[Path] = (),
        mask: MaskOfJob | None = None,
        rights: Rights,
        idempotency_key: str | None = None,
        journal: Journal | None = None,
        on_uploaded: Callable[[int], None] | None = None,
        **terms: Unpack[Terms],
    ) -> Job:
        """Upload the images and their masks and submit them as one job, in this order.

        An image is a file, or a ``Picture`` with a ``custom_id``, an address, or a mask or options of its own.
        ``masks`` is one file for all images, or one file for each. A file that stands for several is sent once.
        ``mask`` is the mask of all pictures without their own: a file, ``{"template": id}``, ``{"mode": "auto"}``, or
        ``{"mode": "text", "texts": ["© Doe Shirts"]}``.

        ``idempotency_key``: the same key with the same body gets the same job for 24 hours. With a ``journal``, an
        interrupted submission resumes. Several threads call ``on_uploaded`` with the number of files that arrived.
        """
        pictures, common = pictures_of(images, masks, mask)
        files = [file for picture in pictures for file in picture.files()]
        return self._submit(
            lambda uploads: {"images": [picture.body(uploads) for picture in pictures], **mask_fields(common, uploads)},
            files=files + mask_files(common),
            rights=rights, terms=terms, key=idempotency_key, journal=journal, on_uploaded=on_uploaded,
        )  # fmt: skip

    def submit_manifest(
        self,
        manifest: Path | str,
        *,
        rights: Rights,
        mask: MaskOfJob | None = None,
        manifest_format: Literal["jsonl", "csv"] | None = None,
        on_error: Literal["reject", "skip"] = "reject",
        idempotency_key: str | None = None,
        journal: Journal | None = None,
        on_uploaded: Callable[[int], None] | None = None,
        **terms: Unpack[Terms],
    ) -> Job:
        """Submit a file that lists pictures (CSV or JSON Lines, up to 100,000 rows) as one job.

        ``manifest`` is a file, or ``s3://bucket/key`` of an allowed bucket. ``mask`` is the mask of all rows without
        their own. A bad row rejects the job, or is left out with ``on_error="skip"``.
        """
        files = ([manifest] if isinstance(manifest, Path) else []) + mask_files(mask)

        def body(uploads: Mapping[Path, str]) -> JsonObject:
            source = {"upload_id": uploads[manifest]} if isinstance(manifest, Path) else {"url": manifest}
            form = {} if manifest_format is None else {"format": manifest_format}
            return {"manifest": {**source, **form, "on_error": on_error}, **mask_fields(mask, uploads)}

        return self._submit(
            body, files=files, rights=rights, terms=terms, key=idempotency_key, journal=journal, on_uploaded=on_uploaded
        )

    def submit_folder(
        self,
        url: str | Sequence[str],
        *,
        rights: Rights,
        mask: MaskOfJob,
        only_new: bool = False,
        idempotency_key: str | None = None,
        journal: Journal | None = None,
        on_uploaded: Callable[[int], None] | None = None,
        **terms: Unpack[Terms],
    ) -> Job:
        """Submit every picture under ``s3://bucket/prefix/`` as one job; its ``custom_id`` is the rest of its key.

        ``url`` may be several prefixes. Keys that are left out are told by :meth:`skipped`. ``only_new`` leaves out
        pictures whose present version has its result in the destination; with none left, Refused ``nothing_new``.
        """
        source: JsonObject = {"source": url if isinstance(url, str) else list(url)}
        if only_new:
            source["only_new"] = True
        return self._submit(
            lambda uploads: {**source, **mask_fields(mask, uploads)},
            files=mask_files(mask),
            rights=rights, terms=terms, key=idempotency_key, journal=journal, on_uploaded=on_uploaded,
        )  # fmt: skip

    def dry_run(
        self, url: str | Sequence[str], *, rights: Rights, mask: MaskOfJob | None = None, **terms: Unpack[Terms]
    ) -> DryRun:
        """What :meth:`submit_folder` would make a job of; nothing is submitted. A mask's file is uploaded."""
        uploads = self.upload(mask_files(mask))
        source = url if isinstance(url, str) else list(url)
        body = {"source": source, "dry_run": True, **mask_fields(mask, uploads), **terms_body(rights, terms)}
        return self._calls.call(DryRun, "POST", "/v1/jobs", json=body, timeout=LISTING)

    def upload(
        self,
        files: Sequence[Path],
        *,
        journal: Journal | None = None,
        on_uploaded: Callable[[int], None] | None = None,
    ) -> dict[Path, str]:
        """Send files to the object store; their upload ids. A file that the ``journal`` lists is not sent again."""
        return self._transfers.upload(files, journal=journal, on_uploaded=on_uploaded)

    def delete_upload(self, upload_id: str) -> None:
        """Delete an upload that no job names."""
        self._calls.delete(f"/v1/uploads/{upload_id}")

    def view_upload(self, upload_id: str, path: Path) -> None:
        """Fetch an uploaded picture as a WebP of at most 4 megapixels into ``path``."""
        self._transfers.fetch_body(f"/v1/uploads/{upload_id}/view", path)

    def job(self, job_id: str) -> JobAnswer:
        """The job's current state."""
        return self._calls.call(JobAnswer, "GET", _job_path(job_id))

    def handle(self, job_id: str) -> Job:
        """A job that was submitted before."""
        return Job(self, self.job(job_id))

    def jobs(
        self, *, order: Literal["newest", "oldest"] = "newest", **filters: Unpack[JobFilters]
    ) -> Iterator[JobAnswer]:
        """The tenant's jobs, newest first, fetched page by page. Repairs of the page only by ``kind``."""
        return self._calls.pages(JobAnswer, "/v1/jobs", {**job_query(filters), "order": order})

    def describe(
        self,
        job_id: str,
        *,
        name: str | None = None,
        labels: Sequence[str] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> JobAnswer:
        """Change the job's name, labels or metadata, each as a whole; what is ``None`` stays."""
        given = {
            "name": name,
            "labels": None if labels is None else list(labels),
            "metadata": None if metadata is None else dict(metadata),
        }
        body = {field: value for field, value in given.items() if value is not None}
        return self._calls.call(JobAnswer, "PATCH", _job_path(job_id), json=body)

    def cancel(self, job_id: str) -> JobAnswer:
        """Cancel the job: images that have not ended end as ``canceled``."""
        return self._calls.call(JobAnswer, "POST", _job_path(job_id, "cancel"))

    def retry(self, job_id: str) -> JobAnswer:
        """Queue the failed images again."""
        return self._calls.call(JobAnswer, "POST", _job_path(job_id, "retry"), once=True)

    def delete(self, job_id: str) -> None:
        """Delete the job with all its files; images that have not ended are canceled."""
        self._calls.delete(_job_path(job_id))

    def approve(self, job_id: str, templates: Sequence[str] | None = None) -> JobAnswer:
        """Start a job that needs review: with the marks found in its pictures, or with other templates."""
        body = {} if templates is None else {"templates": list(templates)}
        return self._calls.call(JobAnswer, "POST", _job_path(job_id, "approve"), json=body)

    def pause(self, job_id: str) -> JobAnswer:
        """Pause the job: no image of it begins, and running images go back to the queue without an attempt."""
        return self._calls.call(JobAnswer, "POST", _job_path(job_id, "pause"))

    def resume(self, job_id: str) -> JobAnswer:
        """Resume the job; it stays paused while its tenant or the whole service is."""
        return self._calls.call(JobAnswer, "POST", _job_path(job_id, "resume"))

    def pause_state(self) -> PauseAnswer:
        """Whether all jobs of the tenant are paused."""
        return self._calls.call(PauseAnswer, "GET", "/v1/pause")

    def pause_all(self) -> PauseAnswer:
        """Pause all jobs of the tenant, those to come included."""
        return self._calls.call(PauseAnswer, "PUT", "/v1/pause")

    def resume_all(self) -> PauseAnswer:
        """Resume all jobs of the tenant, except those that are paused themselves."""
        return self._calls.call(PauseAnswer, "DELETE", "/v1/pause")

    def images(
        self, job_id: str, *, order: Literal["position", "doubt"] = "position", **filters: Unpack[ImageFilters]
    ) -> Iterator[ImageAnswer]:
        """The job's images by position, or the most doubtful results first; fetched page by page."""
        return self._calls.pages(ImageAnswer, _job_path(job_id, "images"), {"order": order, **image_query(filters)})

    def find_images(
        self, *, sha256: str | None = None, job: JobFilters | None = None, **filters: Unpack[ImageFilters]
    ) -> Iterator[ImageAnswer]:
        """Images of all jobs, those of the newest job first; ``sha256`` is that of a result's file."""
        return self._calls.pages(ImageAnswer, "/v1/images", search_query(sha256, job or {}, filters))

    def image(self, image_id: str) -> ImageAnswer:
        """One image's current state."""
        return self._calls.call(ImageAnswer, "GET", f"/v1/images/{image_id}")

    def review(self, image_id: str, review: ImageReview, *, note: str | None = None) -> ImageAnswer:
        """Judge an image's result: ``kept``, ``rejected`` or ``unseen``."""
        body = {"review": review, **({} if note is None else {"note": note})}
        return self._calls.call(ImageAnswer, "PATCH", f"/v1/images/{image_id}", json=body)

    def review_images(
        self, job_id: str, image_ids: Sequence[str], review: ImageReview, *, note: str | None = None
    ) -> int:
        """Judge several images of a job; the number of images that are the job's."""
        changed = 0
        for start in range(0, len(image_ids), REVIEWED_AT_ONCE):
            part = list(image_ids[start : start + REVIEWED_AT_ONCE])
            body = {"images": part, "review": review, **({} if note is None else {"note": note})}
            changed += self._calls.call(Reviewed, "POST", _job_path(job_id, "review"), json=body).changed
        return changed

    def redo(
        self,
        job_id: str,
        *,
        images: Sequence[str] | None = None,
        state: ImageState | None = None,
        error_code: str | None = None,
        review: ImageReview | None = None,
        mask: Mask | None = None,
        **terms: Unpack[RedoTerms],
    ) -> Job:
        """Do images of a job again, as a child job; without a selection those that were rejected.

        ``mask`` takes the place of all masks. Each result that succeeds replaces the image's own, unless ``replace`` is
        false.
        """
        uploads = self.upload(mask_files(mask))
        selection = {
            "images": None if images is None else list(images),
            "state": state,
            "error_code": error_code,
            "review": review,
        }
        body = {
            **{name: value for name, value in selection.items() if value is not None},
            **mask_fields(mask, uploads),
            **redo_body(terms),
        }
        answer = self._calls.call(JobAnswer, "POST", _job_path(job_id, "redo"), json=body, once=True)
        return Job(self, answer)

    def results(self, job_id: str) -> Iterator[ResultLine]:
        """The manifest of the job's results, in the job's order."""
        return self._calls.lines(ResultLine, _job_path(job_id, "results"))

    def errors(self, job_id: str) -> Iterator[ErrorLine]:
        """The manifest of the job's failures, in the job's order."""
        return self._calls.lines(ErrorLine, _job_path(job_id, "errors"))

    def skipped(self, job_id: str) -> Iterator[SkippedLine]:
        """The rows of the job's manifest that were left out."""
        return self._calls.lines(SkippedLine, _job_path(job_id, "skipped"))

    def overview(self, job_id: str) -> JobOverview:
        """The job's failures by reason, and its seconds by stage."""
        return self._calls.call(JobOverview, "GET", _job_path(job_id, "overview"))

    def archive(self, job_id: str, path: Path) -> None:
        """Fetch all results of an ended job as a ZIP into ``path``; an interrupted call is continued by the next."""
        self._transfers.fetch_resumable(_job_path(job_id, "archive"), path)

    def download(self, image: ImageAnswer | ResultLine, path: Path) -> None:
        """Fetch an image's result into ``path``, whole or not at all; a SHA-256 that the answer states is checked."""
        self._transfers.download(image, path)

    def download_all(
        self,
        images: Mapping[Path, ImageAnswer] | Mapping[Path, ResultLine],
        *,
        on_done: Callable[[int], None] | None = None,
    ) -> None:
        """Fetch results into their paths, several at a time."""
        self._transfers.download_all(images, on_done)

    def download_source(self, image: ImageAnswer, path: Path) -> None:
        """Fetch an uploaded image as it was sent into ``path``."""
        self._transfers.fetch_linked(f"/v1/images/{image.id}/source", path, name=image.name)

    def view(self, image_id: str, path: Path) -> None:
        """Fetch an image's result as a WebP of at most 4 megapixels into ``path``."""
        self._transfers.fetch_body(f"/v1/images/{image_id}/view", path)

    def preview(self, image_id: str, path: Path) -> None:
        """Fetch a small WebP, the picture before above the picture after, into ``path``."""
        self._transfers.fetch_body(f"/v1/images/{image_id}/preview", path)

    def readiness(self) -> ReadinessAnswer:
        """Whether the service can work, and how many workers do.

        Raises:
            Refused: it cannot; the code is ``not_ready``.
        """
        return self._calls.call(ReadinessAnswer, "GET", "/readyz")

    def usage(self, since: date | None = None, until: date | None = None) -> UsageAnswer:
        """The service's work for the key's tenant by day of UTC, up to 30 days ago by default."""
        return self._calls.call(UsageAnswer, "GET", "/v1/usage", params=_days(since, until))

    def usage_csv(self, since: date | None = None, until: date | None = None) -> str:
        """As :meth:`usage`, as CSV with a header."""
        return self._calls.text("/v1/usage.csv", params=_days(since, until))

    def devices(self) -> list[DeviceAnswer]:
        """The devices of all worker machines; for keys of an operator."""
        return [self._calls.read(DeviceAnswer, device) for device in self._calls.json("GET", "/v1/devices")["data"]]

    def wait(
        self, job_id: str, *, on_change: Callable[[JobAnswer], None] | None = None, or_review: bool = False
    ) -> JobAnswer:
        """Wait for the job's end by long polls; ``on_change`` gets its state at once and after each change.

        ``or_review``: return also when it waits for a person, who looks at the mark that was found.
        An outage of the service is borne for ``patience_s``.
        """
        patience, etag = Patience(self._patience_s), ""
        while True:
            try:
                response = self._calls.send(
                    "GET",
                    _job_path(job_id),
                    params={"wait": str(LONG_POLL_S)} if etag else {},
                    headers={"If-None-Match": etag} if etag else {},
                )
                if not response.is_success and response.status_code != httpx.codes.NOT_MODIFIED:
                    raise refusal(response)
            except Refused as error:
                patience.bear(error)
                self._calls.retries.sleep(error.retry_after_s or RESUME_S)
                continue
            except httpx.TransportError as error:
                patience.bear(self._calls.unreachable(error))
                self._calls.retries.sleep(RESUME_S)
                continue
            patience.renew()
            if response.status_code == httpx.codes.NOT_MODIFIED:
                continue
            etag = response.headers.get("etag", "")
            job = self._calls.parse(JobAnswer, response.text)
            if on_change is not None:
                on_change(job)
            if job.ended or (or_review and job.state == "needs_review"):
                return job
            if not etag:
                self._calls.retries.sleep(RESUME_S)

    def events(self, job_id: str) -> Iterator[JobAnswer]:
        """The job now and after each change, until it has ended or was deleted: server-sent events."""
        for event in self._follow(_job_path(job_id, "events")):
            if event.kind in {"progress", "end"}:
                yield self._calls.parse(JobAnswer, event.data)
            if event.kind in {"end", "gone"}:
                return

    def all_events(self) -> Iterator[JobAnswer]:
        """Each open job of the tenant, and each job after a change, without an end."""
        for event in self._follow("/v1/events"):
            yield self._calls.parse(JobAnswer, event.data)

    def _submit(
        self,
        body_of: Callable[[Mapping[Path, str]], JsonObject],
        *,
        files: Sequence[Path],
        rights: Rights,
        terms: Terms,
        key: str | None,
        journal: Journal | None,
        on_uploaded: Callable[[int], None] | None,
    ) -> Job:
        """Upload the files and submit the job. Uploads of the journal that expired are sent again."""
        distinct_files = list(dict.fromkeys(files))

        def body() -> JsonObject:
            uploads = self.upload(distinct_files, journal=journal, on_uploaded=on_uploaded)
            return {**body_of(uploads), **terms_body(rights, terms)}

        if journal is None:
            return Job(self, self._post(body(), key or uuid4().hex))
        submitted_body = body()
        known_job_id = journal.job_of(submitted_body)
        if known_job_id is not None:
            return self.handle(known_job_id)
        try:
            answer = self._post(submitted_body, key or journal.key_for(submitted_body))
        except Refused as error:
            if error.code != "upload_unknown":
                raise
            journal.forget_uploads()
            submitted_body = body()
            answer = self._post(submitted_body, key or journal.key_for(submitted_body))
        journal.note_job(answer.id, submitted_body)
        return Job(self, answer)

    def _post(self, body: JsonObject, key: str) -> JobAnswer:
        patience = LISTING if "source" in body else None
        headers = {"Idempotency-Key": key}
        return self._calls.call(JobAnswer, "POST", "/v1/jobs", json=body, headers=headers, timeout=patience)

    def _follow(self, path: str) -> Iterator[Event]:
        return follow(self._calls, path, patience=Patience(self._patience_s))


def _job_path(job_id: str, part: str = "") -> str:
    return f"/v1/jobs/{job_id}" + (f"/{part}" if part else "")


def _days(since: date | None, until: date | None) -> dict[str, str]:
    return {name: day.isoformat() for name, day in (("since", since), ("until", until)) if day is not None}
