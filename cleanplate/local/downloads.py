"""Downloads one file, resumes after an interruption, and accepts the file only by its digest.

The bytes that arrived lie in a ``.partial`` file. Its neighbour holds the server's validator, so that parts of two
versions are never joined (RFC 9110, sections 13.1.5 and 14).
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import httpx

from cleanplate.client.retries import Retries
from cleanplate.errors import DigestWrong, DiskFull, DownloadFailed, DownloadRefused, DownloadUnreachable, Refused

TIMEOUT = httpx.Timeout(60.0, connect=10.0)
#: Far more than any known weights have.
MOST_BYTES = 4 * 1024**3
#: Gets the bytes that arrived, and the total where the server states it.
Progress = Callable[[int, int | None], None]
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_UNSATISFIED = re.compile(r"bytes \*/(\d+)")


class Download:
    """The download of ``url`` to ``partial``; one at a time for each ``partial``."""

    def __init__(self, url: str, partial: Path, *, retries: Retries | None = None) -> None:
        self._url = url
        self._partial = partial
        self._version = partial.with_name(f"{partial.name}.version")
        self._retries = retries or Retries()

    def fetch(self, digest: str, on_progress: Progress) -> None:
        """Fetch the missing bytes; then ``partial`` is whole.

        Raises:
            DownloadFailed: the server did not answer, or refused; the bytes that arrived are kept.
            DiskFull: no room is left for the bytes; those that arrived are kept.
            DigestWrong: the file has another digest; it is deleted.
        """
        try:
            with httpx.Client(timeout=TIMEOUT, follow_redirects=True) as client:
                self._retries.call(lambda: self._resume(client, on_progress))
        except Refused as refused:
            raise DownloadRefused(shown(self._url), refused.detail) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            kind = DownloadUnreachable if isinstance(error, httpx.TransportError) else DownloadFailed
            raise kind(shown(self._url), str(error) or type(error).__name__) from None
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise DiskFull(self._partial.parent) from None
            raise DownloadFailed(shown(self._url), f"{self._partial} cannot be written: {error.strerror}") from None
        actual = digest_of(self._partial, digest.partition(":")[0])
        if actual != digest:
            self.discard()
            raise DigestWrong(shown(self._url), expected=digest, found=actual)

    def discard(self) -> None:
        """Delete the bytes that arrived."""
        self._partial.unlink(missing_ok=True)
        self._version.unlink(missing_ok=True)

    def _resume(self, client: httpx.Client, on_progress: Progress) -> None:
        arrived, validator = self._arrived()
        headers = {"Accept-Encoding": "identity"}  # a range of a compressed body is no range of the file
        if arrived:
            headers |= {"Range": f"bytes={arrived}-", "If-Range": validator}
        with client.stream("GET", self._url, headers=headers) as answer:
            if arrived and answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                whole = _UNSATISFIED.fullmatch(answer.headers.get("content-range", ""))
                if whole is None or int(whole[1]) != arrived:
                    self.discard()
                    raise httpx.RemoteProtocolError("the file became shorter")
                on_progress(arrived, arrived)
            elif arrived and answer.status_code == httpx.codes.PARTIAL_CONTENT:
                part = _RANGE.fullmatch(answer.headers.get("content-range", ""))
                if part is None or int(part[1]) != arrived:
                    self.discard()
                    raise httpx.RemoteProtocolError("the server sent another part of the file")
                self._append(answer, arrived, None if part[2] == "*" else int(part[2]), on_progress)
            elif answer.status_code == httpx.codes.OK:
                self._begin(answer)
                length = answer.headers.get("content-length", "")
                self._append(answer, 0, int(length) if length.isdecimal() else None, on_progress)
            else:
                raise Refused(answer.status_code, "download_refused", f"the server answered {answer.status_code}")

    def _arrived(self) -> tuple[int, str]:
        """The number of bytes that arrived, and the validator of their version; 0 where it is unknown."""
        try:
            version = json.loads(self._version.read_text())
            same = version["url"] == self._url
            return (self._partial.stat().st_size, str(version["validator"])) if same else (0, "")
        except (OSError, ValueError, KeyError, TypeError):
            return 0, ""  # no bytes, or none that are safe to append to: the download starts anew

    def _begin(self, answer: httpx.Response) -> None:
        """Empty the file before the validator is written, so that no bytes of another version stay."""
        self._partial.write_bytes(b"")
        etag = answer.headers.get("etag", "")
        validator = answer.headers.get("last-modified", "") if not etag or etag.startswith("W/") else etag
        if validator:
            self._version.write_text(json.dumps({"url": self._url, "validator": validator}))
        else:
            self._version.unlink(missing_ok=True)

    def _append(self, answer: httpx.Response, arrived: int, total: int | None, on_progress: Progress) -> None:
        with self._partial.open("ab") as file:
            on_progress(arrived, total)
            for chunk in answer.iter_raw():
                arrived += len(chunk)
                if max(arrived, total or 0) > MOST_BYTES:
                    raise Refused(answer.status_code, "download_too_large", "the file is far too large for weights")
                file.write(chunk)
                on_progress(arrived, total)


def shown(url: str) -> str:
    """An address without its possible secrets: user, password, query."""
    return re.sub(r"//[^/]*@", "//", re.split(r"[?#]", url, maxsplit=1)[0])


def digest_of(path: Path, algorithm: str) -> str:
    """``algorithm:hexadecimal digits`` of a file."""
    with path.open("rb") as file:
        # Publishers pin md5 too. It detects damage, and no code in a weights file is ever run.
        made = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False))
    return f"{algorithm}:{made.hexdigest()}"
