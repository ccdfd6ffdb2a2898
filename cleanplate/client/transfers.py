"""Transfers of files: to and from the object store by presigned links, several at a time, whole or not at all."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Protocol
from urllib.parse import urljoin

import httpx

from cleanplate.base.files import replacing
from cleanplate.client.answers import ImageAnswer, ResultLine, UploadSlot
from cleanplate.client.bodies import FileBody, content_type
from cleanplate.client.calls import Calls
from cleanplate.client.journal import Journal
from cleanplate.client.parts import PartedFile
from cleanplate.client.refusals import refusal, store_refusal
from cleanplate.errors import ServiceUnreachable

#: Upload slots per request: few enough that their links outlive the transfers.
SLOTS = 100


class _Sink(Protocol):
    def write(self, data: bytes, /) -> object: ...


class Transfers:
    """Sends and fetches files, ``at_once`` of them at the same time; files over ``whole_bytes`` are sent in parts."""

    def __init__(self, calls: Calls, at_once: int, whole_bytes: int) -> None:
        self._calls = calls
        self._whole_bytes = whole_bytes
        self._at_once = at_once

    def upload(
        self,
        files: Sequence[Path],
        *,
        journal: Journal | None = None,
        on_uploaded: Callable[[int], None] | None = None,
    ) -> dict[Path, str]:
        """Send files to the object store; their upload ids. A file that the ``journal`` lists is not sent again."""
        known = {file: journal.uploaded(file) for file in files} if journal is not None else {}
        ids = {file: upload_id for file, upload_id in known.items() if upload_id is not None}
        if ids and on_uploaded is not None:
            on_uploaded(len(ids))
        missing = [file for file in files if file not in ids]

        def note_arrival(file: Path, upload_id: str) -> None:
            ids[file] = upload_id
            if journal is not None:
                journal.note_upload(file, upload_id)
            if on_uploaded is not None:
                on_uploaded(1)

        def send(file: Path, slot: UploadSlot) -> None:
            self._send(file, slot)
            note_arrival(file, slot.id)

        large = [file for file in missing if file.stat().st_size > self._whole_bytes]
        small = [file for file in missing if file not in set(large)]
        for start in range(0, len(small), SLOTS):
            batch = small[start : start + SLOTS]
            announced = [
                {"filename": file.name, "content_type": content_type(file), "size": file.stat().st_size or None}
                for file in batch
            ]
            answer = self._calls.json("POST", "/v1/uploads", json={"files": announced}, once=True)
            slots = [self._calls.read(UploadSlot, slot) for slot in answer["uploads"]]
            self._run_side_by_side([partial(send, file, slot) for file, slot in zip(batch, slots, strict=True)])
        for file in large:
            parted = PartedFile(file, calls=self._calls, run_side_by_side=self._run_side_by_side, journal=journal)
            note_arrival(file, parted.send())
        return ids

    def download(self, image: ImageAnswer | ResultLine, path: Path) -> None:
        """Fetch an image's result into ``path``, whole or not at all; a SHA-256 that the answer states is checked."""
        image_id = image.image_id if isinstance(image, ResultLine) else image.id
        sha256 = image.sha256 if isinstance(image, ResultLine) else None
        self.fetch_linked(f"/v1/images/{image_id}/result", path, name=image.name, sha256=sha256)

    def download_all(
        self, images: Mapping[Path, ImageAnswer] | Mapping[Path, ResultLine], on_done: Callable[[int], None] | None
    ) -> None:
        """Fetch results into their paths, several at a time."""

        def fetch(path: Path, image: ImageAnswer | ResultLine) -> None:
            self.download(image, path)
            if on_done is not None:
                on_done(1)

        self._run_side_by_side([partial(fetch, path, image) for path, image in images.items()])

    def fetch_linked(self, api_path: str, path: Path, *, name: str, sha256: str | None = None) -> None:
        """Fetch the file that an API address redirects to into ``path``; errors call it ``name``."""

        def fetch() -> None:
            link = self._calls.send("GET", api_path)
            if not link.is_redirect:
                raise refusal(link)
            target = urljoin(str(link.request.url), link.headers["location"])
            with self._calls.http.stream("GET", target) as response, replacing(path) as file:
                if not response.is_success:
                    response.read()
                    raise store_refusal(response, name)
                if _copy(response, file) != sha256 and sha256 is not None:
                    raise httpx.RemoteProtocolError(f"{name} arrived with other bytes than were stored")

        self._calls.repeat(fetch)

    def fetch_body(self, api_path: str, path: Path) -> None:
        """Fetch the body of an API answer into ``path``, whole or not at all."""

        def fetch() -> None:
            with self._calls.stream(api_path) as response, replacing(path) as file:
                if not response.is_success:
                    response.read()
                    raise refusal(response)
                _copy(response, file)

        self._calls.repeat(fetch)

    def fetch_resumable(self, api_path: str, path: Path) -> None:
        """Fetch a large body with an ETag into ``path``.

        The part that has arrived lies beside it under the ETag's name; the next attempt, or call, continues it.
        """

        def fetch() -> Path:
            partial = next(iter(sorted(path.parent.glob(f".{glob.escape(path.name)}.*.partial"))), None)
            headers = {"Accept-Encoding": "identity"}
            if partial is not None and partial.stat().st_size:
                tag = partial.name.removeprefix(f".{path.name}.").removesuffix(".partial")
                headers |= {"Range": f"bytes={partial.stat().st_size}-", "If-Range": f'"{tag}"'}
            with self._calls.stream(api_path, headers=headers) as response:
                if partial is not None and response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                    # Another ZIP, or the whole one: its length decides.
                    response.read()
                    if _length(response) != partial.stat().st_size:
                        partial.unlink()
                        raise httpx.RemoteProtocolError("the part that had arrived is of another file")
                    return partial
                if not response.is_success:
                    response.read()
                    raise refusal(response)
                tag = _etag(response)
                named = path.with_name(f".{path.name}.{tag}.partial")
                continues = partial == named and response.status_code == httpx.codes.PARTIAL_CONTENT
                if partial is not None and not continues:
                    partial.unlink()
                with named.open("ab" if continues else "wb") as file:
                    _copy(response, file)
                if named.stat().st_size != _length(response):
                    raise httpx.RemoteProtocolError("the file arrived with another length than was stated")
                return named

        self._calls.repeat(fetch).replace(path)

    def _send(self, file: Path, slot: UploadSlot) -> None:
        def put() -> None:
            if slot.url is None:
                raise ServiceUnreachable(self._calls.url, "the answer names no link for a file")
            body = FileBody(file)
            headers = {**slot.headers, "Content-Length": str(body.size)}
            response = self._calls.http.request(slot.method, slot.url, headers=headers, content=body)
            if not response.is_success:
                raise store_refusal(response, file.name)

        self._calls.repeat(put)

    def _run_side_by_side(self, transfers: Sequence[Callable[[], None]]) -> None:
        with ThreadPoolExecutor(self._at_once, thread_name_prefix="transfer") as pool:
            futures = [pool.submit(transfer) for transfer in transfers]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


def _etag(response: httpx.Response) -> str:
    tag = str(response.headers.get("etag", "")).strip('"')
    if not tag.isalnum():
        raise httpx.RemoteProtocolError("the answer has no ETag")
    return tag


def _length(response: httpx.Response) -> int | None:
    """The whole file's size in bytes: of a part, ``Content-Range`` tells it."""
    stated = response.headers.get("content-range", "").rpartition("/")[2] or response.headers.get("content-length", "")
    return int(stated) if stated.isdecimal() else None


def _copy(response: httpx.Response, file: _Sink) -> str:
    """Write a response's body into ``file``; the body's SHA-256, in hexadecimal digits."""
    digest = hashlib.sha256()
    for chunk in response.iter_bytes():
        digest.update(chunk)
        file.write(chunk)
    return digest.hexdigest()
