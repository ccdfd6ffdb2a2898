"""Files on their way: to the object store by presigned links and back, several at a time, whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from urllib.parse import urljoin

import httpx

from cleanplate.base.files import FileBody, content_type, replacing
from cleanplate.client.answers import ImageAnswer, ResultLine, UploadSlot
from cleanplate.client.calls import TIMEOUT, Calls
from cleanplate.client.following import refusal, store_refusal
from cleanplate.client.journal import Journal
from cleanplate.client.parts import PartedFile
from cleanplate.errors import ServiceUnreachable

#: Upload slots asked for at once: few enough that their links outlive the transfers.
SLOTS = 100


class Transfers:
    """Sends and fetches files, ``at_once`` of them at the same time; files over ``whole_bytes`` are sent in parts."""

    def __init__(self, calls: Calls, at_once: int, whole_bytes: int) -> None:
        self._calls = calls
        self._whole_bytes = whole_bytes
        self._at_once = at_once
        # Presigned links carry their own authority: an object store refuses a second one, and must not see the key.
        self.http = httpx.Client(timeout=TIMEOUT)

    def upload(
        self, files: Sequence[Path], *, journal: Journal | None, on_uploaded: Callable[[int], None] | None
    ) -> dict[Path, str]:
        """Send files to the object store; their upload ids. What the ``journal`` says has arrived is not sent again."""
        known = {file: journal.uploaded(file) for file in files} if journal is not None else {}
        ids = {file: upload_id for file, upload_id in known.items() if upload_id is not None}
        if ids and on_uploaded is not None:
            on_uploaded(len(ids))
        files = [file for file in files if file not in ids]

        def arrived(file: Path, upload_id: str) -> None:
            ids[file] = upload_id
            if journal is not None:
                journal.note_upload(file, upload_id)
            if on_uploaded is not None:
                on_uploaded(1)

        def send(file: Path, slot: UploadSlot) -> None:
            self._send(file, slot)
            arrived(file, slot.id)

        large = [file for file in files if file.stat().st_size > self._whole_bytes]
        files = [file for file in files if file not in set(large)]
        for start in range(0, len(files), SLOTS):
            batch = files[start : start + SLOTS]
            wanted = [
                {"filename": file.name, "content_type": content_type(file), "size": file.stat().st_size or None}
                for file in batch
            ]
            answer = self._calls.json("POST", "/v1/uploads", json={"files": wanted})
            slots = [self._calls.read(UploadSlot, slot) for slot in answer["uploads"]]
            self._side_by_side([partial(send, file, slot) for file, slot in zip(batch, slots, strict=True)])
        for file in large:
            parted = PartedFile(
                file, calls=self._calls, http=self.http, side_by_side=self._side_by_side, journal=journal
            )
            arrived(file, parted.send())
        return ids

    def download(self, image: ImageAnswer | ResultLine, path: Path) -> None:
        """Fetch an image's result into ``path``, whole or not at all; where its SHA-256 is known it is checked."""
        image_id = image.image_id if isinstance(image, ResultLine) else image.id
        expected = image.sha256 if isinstance(image, ResultLine) else None

        self.fetch(f"/v1/images/{image_id}/result", path, name=image.name, sha256=expected)

    def fetch(self, link_path: str, path: Path, *, name: str, sha256: str | None = None) -> None:
        """The file that an address of the API redirects to, into ``path``; ``name`` is what errors call it."""

        def fetch() -> None:
            link = self._calls.http.get(f"{self._calls.url}{link_path}")
            if not link.is_redirect:
                raise refusal(link)
            target = urljoin(str(link.request.url), link.headers["location"])
            with self.http.stream("GET", target) as answer, replacing(path) as file:
                if not answer.is_success:
                    answer.read()
                    raise store_refusal(answer, name)
                digest = hashlib.sha256()
                for chunk in answer.iter_bytes():
                    digest.update(chunk)
                    file.write(chunk)
                if sha256 is not None and digest.hexdigest() != sha256:
                    raise httpx.RemoteProtocolError(f"{name} arrived with other bytes than were stored")

        self._calls.again(fetch)

    def download_all(
        self, wanted: Mapping[Path, ImageAnswer] | Mapping[Path, ResultLine], on_done: Callable[[int], None] | None
    ) -> None:
        """Fetch results into their paths, a few at a time."""

        def fetch(path: Path, image: ImageAnswer | ResultLine) -> None:
            self.download(image, path)
            if on_done is not None:
                on_done(1)

        self._side_by_side([partial(fetch, path, image) for path, image in wanted.items()])

    def _send(self, file: Path, slot: UploadSlot) -> None:
        def put() -> None:
            if slot.url is None:
                raise ServiceUnreachable(self._calls.url, "the answer names no link for a file")
            body = FileBody(file)
            headers = {**slot.headers, "Content-Length": str(body.size)}
            answer = self.http.request(slot.method, slot.url, headers=headers, content=body)
            if not answer.is_success:
                raise store_refusal(answer, file.name)

        self._calls.again(put)

    def _side_by_side(self, transfers: Sequence[Callable[[], None]]) -> None:
        with ThreadPoolExecutor(self._at_once, thread_name_prefix="transfer") as pool:
            begun = [pool.submit(transfer) for transfer in transfers]
            try:
                for transfer in begun:
                    transfer.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
