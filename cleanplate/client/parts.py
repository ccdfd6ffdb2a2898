"""A large file on its way to the object store in parts: several at a time, each repeated where it fails.

With a journal, an interrupted transfer resumes: parts that arrived are not sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import httpx

from cleanplate.client.answers import PartSlot, UploadSlot
from cleanplate.client.bodies import FileBody, content_type
from cleanplate.client.calls import Calls
from cleanplate.client.journal import Begun, Journal
from cleanplate.client.refusals import store_refusal
from cleanplate.errors import Refused, ServiceUnreachable

RunSideBySide = Callable[[Sequence[Callable[[], None]]], None]
#: Error codes of a transfer that the service no longer has: the file is sent from its beginning.
_LOST = frozenset({"not_found", "blob_not_found", "parts_invalid"})


class PartedFile:
    """One file to send; ``run_side_by_side`` runs the transfers of its parts."""

    def __init__(self, file: Path, *, calls: Calls, run_side_by_side: RunSideBySide, journal: Journal | None) -> None:
        self._file = file
        self._calls = calls
        self._run_side_by_side = run_side_by_side
        self._journal = journal

    def send(self) -> str:
        """Send the file whole; its upload's id."""
        begun = self._journal.begun(self._file) if self._journal is not None else None
        if begun is not None:
            try:
                return self._resume(begun)
            except Refused as error:
                if error.code not in _LOST:
                    raise
        return self._begin()

    def _begin(self) -> str:
        name, size = self._file.name, self._file.stat().st_size
        announced = {"filename": name, "content_type": content_type(self._file), "size": size, "method": "multipart"}
        answer = self._calls.json("POST", "/v1/uploads", json={"files": [announced]}, once=True)
        slot = self._calls.read(UploadSlot, answer["uploads"][0])
        begun = Begun(slot.id, slot.parts[0].size, len(slot.parts))
        if self._journal is not None:
            self._journal.note_begun(self._file, begun)
        return self._finish(begun, slot.parts)

    def _resume(self, begun: Begun) -> str:
        missing = [number for number in range(1, begun.count + 1) if number not in begun.etags]
        try:
            return self._finish(begun, self._links(begun, missing) if missing else [])
        except Refused as error:
            if error.code == "upload_complete":
                return begun.upload_id
            raise

    def _finish(self, begun: Begun, links: Sequence[PartSlot]) -> str:
        self._run_side_by_side([partial(self._send_part, begun, link) for link in links])
        sent = [{"number": number, "etag": etag} for number, etag in sorted(begun.etags.items())]
        self._calls.json("POST", f"/v1/uploads/{begun.upload_id}/complete", json={"parts": sent})
        return begun.upload_id

    def _send_part(self, begun: Begun, link: PartSlot) -> None:
        try:
            etag = self._put(begun, link)
        except Refused as error:
            if error.status >= httpx.codes.INTERNAL_SERVER_ERROR:
                raise
            # The link may have expired while other parts were sent.
            etag = self._put(begun, *self._links(begun, [link.number]))
        begun.etags[link.number] = etag
        if self._journal is not None:
            self._journal.note_part(begun.upload_id, link.number, etag)

    def _put(self, begun: Begun, link: PartSlot) -> str:
        def put() -> str:
            body = FileBody(self._file, start=(link.number - 1) * begun.part_bytes, size=link.size)
            headers = {**link.headers, "Content-Length": str(body.size)}
            response = self._calls.http.put(link.url, headers=headers, content=body)
            if not response.is_success:
                raise store_refusal(response, self._file.name)
            if "etag" not in response.headers:
                raise ServiceUnreachable(self._calls.url, "the object store named no ETag of a part")
            return str(response.headers["etag"])

        return self._calls.repeat(put)

    def _links(self, begun: Begun, numbers: Sequence[int]) -> list[PartSlot]:
        answer = self._calls.json("POST", f"/v1/uploads/{begun.upload_id}/parts", json={"numbers": list(numbers)})
        return [self._calls.read(PartSlot, link) for link in answer["parts"]]
