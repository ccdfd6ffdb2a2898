"""Signed, expiring links to the local blob store, which the API serves. A valid signature is the permission."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from itsdangerous import BadData, URLSafeSerializer

from cleanplate.base.files import make_home_folder
from storage.errors import LinkInvalid


@dataclass(frozen=True, kw_only=True)
class Link:
    """The permission that a link gives."""

    method: str
    key: str
    #: Largest size of the file that PUT and POST may send.
    max_bytes: int | None = None
    #: Exact size of the file that they must send; ``None``: it was not announced.
    exact_bytes: int | None = None
    #: Number of the part that PUT sends; ``None``: the blob is sent whole.
    part: int | None = None
    #: Content type that PUT and POST must send.
    content_type: str | None = None
    #: File name under which GET's answer is saved.
    filename: str | None = None


class LinkSigner:
    """Signs links to tokens, and reads tokens. ``clock`` gives aware times."""

    def __init__(self, key: str, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._serializer = URLSafeSerializer(
            key, salt="cleanplate.blobs", signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256}
        )
        self._clock = clock

    def sign(self, link: Link, *, expires_s: int) -> tuple[str, datetime]:
        """A token for this link, and its expiry."""
        expires_at = self._clock() + timedelta(seconds=expires_s)
        token = self._serializer.dumps({"expires": expires_at.timestamp(), **asdict(link)})
        return (token if isinstance(token, str) else token.decode()), expires_at

    def read(self, token: str, method: str) -> Link:
        """The link of a token, for a request of this method. Raises LinkInvalid."""
        try:
            fields = self._serializer.loads(token)
        except BadData as error:
            raise LinkInvalid("The link is not one of this service, or was altered. Ask for a new one.") from error
        if fields.pop("expires") <= self._clock().timestamp():
            raise LinkInvalid("The link has expired. Ask for a new one.")
        link = Link(**fields)
        if link.method != method:
            raise LinkInvalid(f"The link permits {link.method}, not {method}.")
        return link


def signing_key(path: Path) -> str:
    """The key in this file; creates the file, readable by its owner only, if it does not exist.

    Of several processes that make it at once, one wins and all read the same.
    """
    if not path.exists():
        make_home_folder(path.parent)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(48))
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):  # another process was first
                os.link(draft, path)
        finally:
            draft.unlink()
    return path.read_text()
