"""The blob store's interface, and what its implementations share: which keys are allowed, how a download is named."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.message import Message
from typing import IO, Protocol

from storage.errors import InvalidKey

_SEGMENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
MAX_KEY_LENGTH = 300
#: Bytes of each part but the last, where a blob is sent in parts: more than S3's least, 5 MiB.
PART_BYTES = 8 * 1024 * 1024
#: As S3 allows.
_MAX_PARTS = 10_000


@dataclass(frozen=True)
class BlobStat:
    """What is known of a blob without reading it."""

    key: str
    #: In bytes.
    size: int
    content_type: str
    modified: datetime


@dataclass(frozen=True)
class PresignedRequest:
    """A request that whoever holds it may make until it expires. The URL is a secret: it is never logged."""

    method: str
    url: str
    #: To be sent exactly so.
    headers: dict[str, str]
    expires_at: datetime
    #: Of the form that POST sends, before its last field: the bytes, as ``file``.
    fields: dict[str, str] = field(default_factory=dict)


class Blobs(Protocol):
    """Bytes by key. Every method raises InvalidKey for a bad key, BlobStoreUnavailable and BlobStoreRefused."""

    def put(self, key: str, data: bytes, *, content_type: str) -> None:
        """Stores bytes, whole or not at all, over what was there."""

    def get(self, key: str, *, max_bytes: int | None = None) -> bytes:
        """The bytes. Raises BlobNotFound, BlobTooLarge (before reading more than ``max_bytes``)."""

    def download(self, key: str, file: IO[bytes], *, max_bytes: int) -> None:
        """Like :meth:`get`, into a file, holding only a part in memory."""

    def stat(self, key: str) -> BlobStat:
        """Size, type and time. Raises BlobNotFound."""

    def delete(self, key: str) -> None:
        """Removes a blob; one that is not there is no error."""

    def list(self, prefix: str) -> Iterator[BlobStat]:
        """All blobs whose key begins with ``prefix``, by key. The content type may be left empty."""

    def presigned_put(
        self, key: str, *, content_type: str, expires_s: int, size: int | None = None
    ) -> PresignedRequest:
        """Lets its holder store one blob of this type, and of this size in bytes where one is given, under this key."""

    def presigned_post(
        self, key: str, *, content_type: str, max_bytes: int, expires_s: int, size: int | None = None
    ) -> PresignedRequest:
        """Like :meth:`presigned_put` by a form, of at most ``max_bytes`` where no size is given."""

    def begin_parts(self, key: str, *, content_type: str) -> str:
        """Opens the transfer of a large blob in parts, and names it."""

    def presigned_part(self, key: str, parts_id: str, number: int, *, size: int, expires_s: int) -> PresignedRequest:
        """Lets its holder send one part, counted from 1, of this size in bytes. It answers with the part's ETag."""

    def join_parts(self, key: str, parts_id: str, etags: Sequence[str], *, content_type: str) -> None:
        """Makes the blob of its parts. Repeating it changes nothing.

        Raises PartsInvalid: one is missing, or another was sent; BlobNotFound: there is no such transfer any more.
        """

    def drop_parts(self, key: str) -> None:
        """Breaks off all transfers to a key, and deletes their parts. Repeating it changes nothing."""

    def presigned_get(self, key: str, *, filename: str, expires_s: int) -> PresignedRequest:
        """Lets its holder download a blob, saved under ``filename``."""


def part_sizes(size: int) -> list[int]:
    """How a blob of so many bytes is cut: parts of one size, but for the last. At least 1, at most 10,000."""
    part = max(PART_BYTES, -(-size // _MAX_PARTS))
    return [part] * (size // part) + ([size % part] if size % part else [])


def check_key(key: str) -> str:
    """The key. Segments of at most 200 letters, digits, ``.``, ``_``, ``-``, not beginning with a dot, parted by ``/``.

    Raises InvalidKey for anything else: such a key could leave a folder, or mean different things to different stores.
    """
    if len(key) > MAX_KEY_LENGTH or not all(_SEGMENT.fullmatch(segment) for segment in key.split("/")):
        raise InvalidKey(f"{key[:MAX_KEY_LENGTH]!r} cannot be a key.")
    return key


def attachment(filename: str) -> str:
    """A ``Content-Disposition`` that saves a download under ``filename``, in any script (RFC 6266)."""
    name = "".join(character for character in filename if character.isprintable()) or "image"
    message = Message()
    message.add_header("Content-Disposition", "attachment", filename=name if name.isascii() else ("utf-8", "", name))
    return str(message["Content-Disposition"])
