"""The Python client of the HTTP API: submits files, follows a job, fetches results.

Pixels go straight to the object store through presigned links, a few at a time; the API key is sent to the API alone::

    rights = Rights(basis="owner", attested_by="Jo Doe", reference="own photographs")
    with Client("http://127.0.0.1:8787", key) as client:
        job = client.submit([Path("a.jpg"), Path("b.jpg")], masks=Path("mask.png"), rights=rights)
        job.wait()
        job.download(Path("clean"))
"""

from __future__ import annotations

import hashlib
import json as json_module
import mimetypes
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar
from urllib.parse import urljoin, urlsplit
from uuid import uuid4

import httpx
from pydantic import BaseModel, ValidationError

from cleanplate.answers import ImageAnswer, ImageState, JobAnswer, ResultLine, Rights, UploadSlot, WebhookAnswer
from cleanplate.errors import Refused, ServiceUnreachable, UsageError
from cleanplate.files import FileBody, replacing
from cleanplate.following import AGAIN_S, Event, Patience, follow, refusal, retry_after
from cleanplate.job import Job
from cleanplate.journal import Journal
from cleanplate.retries import Retries

#: Upload slots asked for at once: few enough that their links outlive the transfers.
SLOTS = 100
PAGE = 200
#: Seconds that the service may hold a long poll; under the time-out of an answer.
LONG_POLL_S = 25
TIMEOUT = httpx.Timeout(60.0, connect=10.0)

Answer = TypeVar("Answer", bound=BaseModel)
Result = TypeVar("Result")


class Client:
    """A connection to one service with one key; a context manager, usable from several threads.

    ``transfers`` files travel at the same time. Transient failures are tried again with growing, random waits.
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
        retries: Retries | None = None,
        patience_s: float = 600.0,
    ) -> None:
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
            raise UsageError(f"{url!r} is not the address of a service: it must begin with http:// or https://.")
        self._url = url.rstrip("/")
        self._transfers = transfers
        self._retries = retries or Retries()
        self._patience_s = patience_s
        self._api = httpx.Client(timeout=TIMEOUT, headers={"Authorization": f"Bearer {api_key}"})
        # Presigned links carry their own authority: an object store refuses a second one, and must not see the key.
        self._store = httpx.Client(timeout=TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._api.close()
        self._store.close()

    def submit(
        self,
        images: Sequence[Path],
        *,
        masks: Path | Sequence[Path],
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
        ``interactive`` overtakes ``bulk``; images that wait for a worker at the ``deadline`` fail.
        ``idempotency_key``: a name of your own for this submission; given again with the same body within 24 hours, it
        gets the same job. With a ``journal``, a submission that was interrupted goes on where it was. ``on_uploaded``
        hears, from several threads, how many files have just arrived.
        """
        mask_of = [masks] * len(images) if isinstance(masks, Path) else list(masks)
        if len(mask_of) != len(images):
            raise ValueError(f"{len(images)} images and {len(mask_of)} masks")
        files = list(dict.fromkeys([*images, *mask_of]))
        uploads = self.upload(files, journal=journal, on_uploaded=on_uploaded)
        body: dict[str, Any] = {
            "images": [
                {"upload_id": uploads[image], "name": image.name, "mask_upload_id": uploads[mask]}
                for image, mask in zip(images, mask_of, strict=True)
            ],
            "options": dict(options or {}),
            "rights_basis": rights.basis,
            "attested_by": rights.attested_by,
            "rights_reference": rights.reference,
        }
        if priority != "bulk":
            body["priority"] = priority
        if deadline is not None:
            body["deadline"] = deadline.astimezone().isoformat()
        if webhook_id is not None:
            body["webhook_id"] = webhook_id
        # However often it is sent, the service makes one job of it.
        key = idempotency_key or (journal.key_for(body) if journal is not None else uuid4().hex)
        answer = self._call(JobAnswer, "POST", "/v1/jobs", json=body, headers={"Idempotency-Key": key})
        if journal is not None:
            journal.note_job(answer.id)
        return Job(self, answer)

    def upload(
        self,
        files: Sequence[Path],
        *,
        journal: Journal | None = None,
        on_uploaded: Callable[[int], None] | None = None,
    ) -> dict[Path, str]:
        """Send files to the object store; their upload ids. What the ``journal`` says has arrived is not sent again."""
        known = {file: journal.uploaded(file) for file in files} if journal is not None else {}
        ids = {file: upload_id for file, upload_id in known.items() if upload_id is not None}
        if ids and on_uploaded is not None:
            on_uploaded(len(ids))
        files = [file for file in files if file not in ids]

        def send(file: Path, slot: UploadSlot) -> None:
            self._send(file, slot)
            if journal is not None:
                journal.note_upload(file, slot.id)
            if on_uploaded is not None:
                on_uploaded(1)

        for start in range(0, len(files), SLOTS):
            batch = files[start : start + SLOTS]
            wanted = [
                {"filename": file.name, "content_type": content_type(file), "size": file.stat().st_size or None}
                for file in batch
            ]
            answer = self._json("POST", "/v1/uploads", json={"files": wanted})
            slots = [self._read(UploadSlot, slot) for slot in answer["uploads"]]
            self._side_by_side([partial(send, file, slot) for file, slot in zip(batch, slots, strict=True)])
            ids.update(zip(batch, (slot.id for slot in slots), strict=True))
        return ids

    def job(self, job_id: str) -> JobAnswer:
        """The job as it is now."""
        return self._call(JobAnswer, "GET", f"/v1/jobs/{job_id}")

    def jobs(self) -> Iterator[JobAnswer]:
        """All jobs of the key's tenant, newest first, fetched page by page."""
        return self._pages(JobAnswer, "/v1/jobs", {})

    def images(self, job_id: str, *, state: ImageState | None = None) -> Iterator[ImageAnswer]:
        """The job's images by position, fetched page by page."""
        return self._pages(ImageAnswer, f"/v1/jobs/{job_id}/images", {} if state is None else {"state": state})

    def cancel(self, job_id: str) -> JobAnswer:
        """Stop the job: images that have not ended end as ``canceled``."""
        return self._call(JobAnswer, "POST", f"/v1/jobs/{job_id}/cancel")

    def wait(self, job_id: str, *, on_change: Callable[[JobAnswer], None] | None = None) -> JobAnswer:
        """Until the job has ended, by long polls; ``on_change`` sees it at once and after each change.

        A service that is away, because it is renewed for instance, is waited for as long as ``patience_s``.
        """
        patience, tag = Patience(self._patience_s), ""
        while True:
            try:
                answer = self._api.get(
                    f"{self._url}/v1/jobs/{job_id}",
                    params={"wait": str(LONG_POLL_S)} if tag else {},
                    headers={"If-None-Match": tag} if tag else {},
                )
                if answer.status_code == httpx.codes.NOT_MODIFIED:
                    patience.heard()
                    continue
                if not answer.is_success:
                    raise refusal(answer)
            except Refused as error:
                patience.bear(error)
                self._retries.sleep(error.retry_after_s or AGAIN_S)
                continue
            except httpx.TransportError as error:
                patience.bear(ServiceUnreachable(self._url, str(error) or type(error).__name__))
                self._retries.sleep(AGAIN_S)
                continue
            patience.heard()
            tag = answer.headers.get("etag", "")
            job = self._read(JobAnswer, answer.json())
            if on_change is not None:
                on_change(job)
            if job.ended:
                return job
            if not tag:
                self._retries.sleep(AGAIN_S)

    def events(self, job_id: str) -> Iterator[JobAnswer]:
        """The job now and whenever it has changed, until it has ended or was deleted: server-sent events."""
        for event in self._follow(f"/v1/jobs/{job_id}/events"):
            if event.kind in {"progress", "end"}:
                yield self._read(JobAnswer, json_of(event.data))
            if event.kind in {"end", "gone"}:
                return

    def all_events(self) -> Iterator[JobAnswer]:
        """Every job of the tenant that is open or has changed, for ever."""
        for event in self._follow("/v1/events"):
            yield self._read(JobAnswer, json_of(event.data))

    def results(self, job_id: str) -> Iterator[ResultLine]:
        """The manifest of a job's results, in the job's order."""

        def fetch() -> str:
            answer = self._api.get(f"{self._url}/v1/jobs/{job_id}/results")
            if not answer.is_success:
                raise refusal(answer)
            return answer.text

        for line in self._try(fetch).splitlines():
            yield self._read(ResultLine, json_of(line))

    def download(self, image: ImageAnswer | ResultLine, path: Path) -> None:
        """Fetch an image's result into ``path``, whole or not at all; where its SHA-256 is known it is checked."""
        image_id = image.image_id if isinstance(image, ResultLine) else image.id
        expected = image.sha256 if isinstance(image, ResultLine) else None

        def fetch() -> None:
            link = self._api.get(f"{self._url}/v1/images/{image_id}/result")
            if not link.is_redirect:
                raise refusal(link)
            target = urljoin(str(link.request.url), link.headers["location"])
            with self._store.stream("GET", target) as answer, replacing(path) as file:
                if not answer.is_success:
                    answer.read()
                    raise store_refusal(answer, image.name)
                digest = hashlib.sha256()
                for chunk in answer.iter_bytes():
                    digest.update(chunk)
                    file.write(chunk)
                if expected is not None and digest.hexdigest() != expected:
                    raise httpx.RemoteProtocolError(f"{image.name} arrived with other bytes than were stored")

        self._try(fetch)

    def download_all(
        self,
        wanted: Mapping[Path, ImageAnswer] | Mapping[Path, ResultLine],
        *,
        on_done: Callable[[int], None] | None = None,
    ) -> None:
        """Fetch results into their paths, a few at a time."""

        def fetch(path: Path, image: ImageAnswer | ResultLine) -> None:
            self.download(image, path)
            if on_done is not None:
                on_done(1)

        self._side_by_side([partial(fetch, path, image) for path, image in wanted.items()])

    def create_webhook(self, url: str, *, events: Sequence[str] | None = None) -> WebhookAnswer:
        """An endpoint for this tenant's events, all usual ones or ``events``; its ``secret`` is told only now."""
        body: dict[str, Any] = {"url": url} | ({} if events is None else {"events": list(events)})
        return self._call(WebhookAnswer, "POST", "/v1/webhooks", json=body, repeatable=False)

    def _follow(self, path: str) -> Iterator[Event]:
        patience = Patience(self._patience_s)
        return follow(self._api, self._url + path, patience=patience, sleep=self._retries.sleep)

    def _side_by_side(self, transfers: Sequence[Callable[[], None]]) -> None:
        with ThreadPoolExecutor(self._transfers, thread_name_prefix="transfer") as pool:
            begun = [pool.submit(transfer) for transfer in transfers]
            try:
                for transfer in begun:
                    transfer.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _send(self, file: Path, slot: UploadSlot) -> None:
        def put() -> None:
            body = FileBody(file)
            headers = {**slot.headers, "Content-Length": str(body.size)}
            answer = self._store.request(slot.method, slot.url, headers=headers, content=body)
            if not answer.is_success:
                raise store_refusal(answer, file.name)

        self._try(put)

    def _pages(self, kind: type[Answer], path: str, query: dict[str, str]) -> Iterator[Answer]:
        cursor: str | None = None
        while True:
            params = {**query, "limit": str(PAGE)} | ({} if cursor is None else {"cursor": cursor})
            page = self._json("GET", path, params=params)
            for item in page["data"]:
                yield self._read(kind, item)
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _call(
        self,
        kind: type[Answer],
        method: str,
        path: str,
        *,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = True,
    ) -> Answer:
        return self._read(kind, self._json(method, path, json=json, headers=headers, repeatable=repeatable))

    def _json(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: dict[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = True,
    ) -> Any:
        def call() -> Any:
            answer = self._api.request(method, self._url + path, json=json, params=params, headers=headers)
            if not answer.is_success:
                raise refusal(answer)
            try:
                return answer.json()
            except ValueError:
                raise ServiceUnreachable(self._url, "the answer is not Cleanplate's") from None

        return self._try(call, repeatable=repeatable)

    def _read(self, kind: type[Answer], value: Any) -> Answer:
        try:
            return kind.model_validate(value)
        except ValidationError:
            raise ServiceUnreachable(self._url, f"the answer is not a {kind.__name__}") from None

    def _try(self, call: Callable[[], Result], *, repeatable: bool = True) -> Result:
        try:
            return self._retries.call(call, repeatable=repeatable)
        except httpx.TransportError as error:
            raise ServiceUnreachable(self._url, str(error) or type(error).__name__) from error


def json_of(text: str) -> Any:
    """JSON of the service; ``None``, which no answer is, where it is none."""
    try:
        return json_module.loads(text)
    except ValueError:
        return None


def content_type(file: Path) -> str:
    """The type that a file's name claims; the service looks at the bytes itself."""
    return mimetypes.guess_type(file.name)[0] or "application/octet-stream"


def store_refusal(answer: httpx.Response, name: str) -> Refused:
    """What the object store said of one file; never with the signed link."""
    detail = f"The object store answered {answer.status_code} for {name}."
    return Refused(answer.status_code, "transfer_refused", detail, retry_after(answer))
