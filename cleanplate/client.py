"""The Python client of the HTTP API: submits files, follows a job, fetches results.

Pixels go straight to the object store through presigned links, a few at a time; the API key is sent to the API alone::

    rights = Rights(basis="owner", attested_by="Jo Doe", reference="own photographs")
    with Client("http://127.0.0.1:8787", key) as client:
        job = client.submit([Path("a.jpg"), Path("b.jpg")], masks=Path("mask.png"), rights=rights)
        client.wait(job.id)
        for image in client.images(job.id, state="succeeded"):
            client.download(image, Path("clean") / image.name)
"""

from __future__ import annotations

import mimetypes
import time
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

from cleanplate.answers import ImageAnswer, ImageState, JobAnswer, Rights, UploadSlot, WebhookAnswer
from cleanplate.errors import Refused, ServiceUnreachable, UsageError
from cleanplate.files import FileBody, replacing
from cleanplate.retries import Retries

#: Upload slots asked for at once: few enough that their links outlive the transfers.
SLOTS = 100
PAGE = 200
TIMEOUT = httpx.Timeout(60.0, connect=10.0)

Answer = TypeVar("Answer", bound=BaseModel)
Result = TypeVar("Result")


class Client:
    """A connection to one service with one key; a context manager, usable from several threads.

    ``transfers`` files travel at the same time. Transient failures are tried again with growing, random waits.

    Raises, from every method:
        Refused: the service said no; ``code`` says why.
        ServiceUnreachable: no usable answer, also after the retries.
    """

    def __init__(self, url: str, api_key: str, *, transfers: int = 4, retries: Retries | None = None) -> None:
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
            raise UsageError(f"{url!r} is not the address of a service: it must begin with http:// or https://.")
        self._url = url.rstrip("/")
        self._transfers = transfers
        self._retries = retries or Retries()
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
        on_uploaded: Callable[[int], None] | None = None,
    ) -> JobAnswer:
        """Upload the images and their masks and submit them as one job, in this order, by these rights.

        ``masks`` is one file for all images, or one file for each (the same file may stand for many; it travels once).
        ``interactive`` overtakes ``bulk``; images that wait for a worker at the ``deadline`` fail.
        ``idempotency_key``: a name of your own for this submission; given again with the same body within 24 hours, it
        gets the same job. ``on_uploaded`` hears, from several threads, how many files have just arrived.
        """
        mask_of = [masks] * len(images) if isinstance(masks, Path) else list(masks)
        if len(mask_of) != len(images):
            raise ValueError(f"{len(images)} images and {len(mask_of)} masks")
        files = list(dict.fromkeys([*images, *mask_of]))
        uploads = self.upload(files, on_uploaded=on_uploaded)
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
        headers = {"Idempotency-Key": idempotency_key or uuid4().hex}
        return self._call(JobAnswer, "POST", "/v1/jobs", json=body, headers=headers)

    def upload(self, files: Sequence[Path], *, on_uploaded: Callable[[int], None] | None = None) -> dict[Path, str]:
        """Send files to the object store; returns their upload ids."""
        ids: dict[Path, str] = {}

        def send(file: Path, slot: UploadSlot) -> None:
            self._send(file, slot)
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

    def wait(
        self, job_id: str, *, on_change: Callable[[JobAnswer], None] | None = None, poll_s: float = 0.5
    ) -> JobAnswer:
        """Ask until the job has ended; ``on_change`` sees every answer."""
        while True:
            job = self.job(job_id)
            if on_change is not None:
                on_change(job)
            if job.ended:
                return job
            time.sleep(poll_s)

    def download(self, image: ImageAnswer, path: Path) -> None:
        """Fetch an image's result into ``path``, whole or not at all."""

        def fetch() -> None:
            link = self._api.get(f"{self._url}/v1/images/{image.id}/result")
            if not link.is_redirect:
                raise refusal(link)
            target = urljoin(str(link.request.url), link.headers["location"])
            with self._store.stream("GET", target) as answer, replacing(path) as file:
                if not answer.is_success:
                    answer.read()
                    raise store_refusal(answer, image.name)
                for chunk in answer.iter_bytes():
                    file.write(chunk)

        self._try(fetch)

    def download_all(self, wanted: Mapping[Path, ImageAnswer], *, on_done: Callable[[int], None] | None = None) -> None:
        """Fetch results into their paths, a few at a time."""

        def fetch(path: Path, image: ImageAnswer) -> None:
            self.download(image, path)
            if on_done is not None:
                on_done(1)

        self._side_by_side([partial(fetch, path, image) for path, image in wanted.items()])

    def create_webhook(self, url: str) -> WebhookAnswer:
        """An endpoint for this tenant's events; its ``secret`` is told only now."""
        return self._call(WebhookAnswer, "POST", "/v1/webhooks", json={"url": url}, repeatable=False)

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


def content_type(file: Path) -> str:
    """The type that a file's name claims; the service looks at the bytes itself."""
    return mimetypes.guess_type(file.name)[0] or "application/octet-stream"


def refusal(answer: httpx.Response) -> Refused:
    """The API's error body (problem+json) as an exception."""
    problem: Any = {}
    if answer.headers.get("content-type", "").startswith("application/problem+json"):
        problem = answer.json()
    detail = problem.get("detail") or problem.get("title") or f"The service answered {answer.status_code}."
    return Refused(answer.status_code, problem.get("code", f"http_{answer.status_code}"), detail, retry_after(answer))


def store_refusal(answer: httpx.Response, name: str) -> Refused:
    """What the object store said of one file; never with the signed link."""
    detail = f"The object store answered {answer.status_code} for {name}."
    return Refused(answer.status_code, "transfer_refused", detail, retry_after(answer))


def retry_after(answer: httpx.Response) -> float | None:
    """Seconds that the answer asks to wait; ``None`` when it does not say, or says a date."""
    value = answer.headers.get("retry-after", "")
    return float(value) if value.isdecimal() else None
