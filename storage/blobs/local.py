"""Blobs in a directory: for a laptop, where the API serves them through signed links.

Paths are opened one segment at a time, relative to the folder above and never through a symbolic link, so no key can
leave the directory. A blob's content type lies beside it in ``.<name>.type``, and while it is sent in parts, these in
``.<name>.parts``; keys cannot begin a segment with a dot.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, BinaryIO

from cleanplate.base.files import make_home_folder
from storage.blobs.base import BlobStat, PresignedRequest, check_key
from storage.blobs.links import Link, LinkSigner
from storage.errors import BlobNotFound, BlobStoreFull, BlobStoreUnavailable, BlobTooLarge, InvalidKey, PartsInvalid

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
#: A folder instead of a file, a file instead of a folder, or a symbolic link instead of either.
_MISPLACED = frozenset({errno.ENOTDIR, errno.EISDIR, errno.ELOOP})
#: A file cannot grow: the disk, a quota or a limit of the process.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_COPIED_AT_ONCE = 1024 * 1024


class LocalBlobs:
    """The blob store in ``root``; creates the folder if it does not exist.

    ``public_url`` is the API's address in links, ``max_bytes`` the largest body that a presigned PUT may send.
    """

    def __init__(self, root: Path, *, public_url: str, signer: LinkSigner, max_bytes: int) -> None:
        make_home_folder(root)
        self._root = root
        self._public_url = public_url.rstrip("/")
        self._signer = signer
        self._max_bytes = max_bytes

    def put(self, key: str, data: bytes, *, content_type: str) -> None:
        self.put_stream(key, io.BytesIO(data), content_type=content_type)

    def put_stream(self, key: str, stream: IO[bytes], *, content_type: str) -> None:
        """As ``put``, with only a part in memory. An error of the stream leaves the old blob."""
        check_key(key)
        with _translated(key, writing=True), self._folder(key, create=True) as (folder, name):
            # The type first: a blob that is there has one.
            _write(folder, _type_name(name), io.BytesIO(content_type.encode()))
            _write(folder, name, stream)

    def get(self, key: str, *, max_bytes: int | None = None) -> bytes:
        check_key(key)
        with _translated(key), self._folder(key) as (folder, name), _opened(folder, name) as descriptor:
            if max_bytes is not None and os.fstat(descriptor).st_size > max_bytes:
                raise BlobTooLarge(max_bytes)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                return file.read()

    def read(self, key: str) -> Iterator[bytes]:
        with self.open(key) as blob, _translated(key):
            while piece := blob.read(_COPIED_AT_ONCE):
                yield piece

    def download(self, key: str, file: IO[bytes], *, max_bytes: int) -> None:
        with self.open(key) as blob:
            if os.fstat(blob.fileno()).st_size > max_bytes:
                raise BlobTooLarge(max_bytes)
            with _translated(key):
                shutil.copyfileobj(blob, file, _COPIED_AT_ONCE)

    def open(self, key: str) -> BinaryIO:
        """The bytes as a file, which the caller closes. Raises BlobNotFound."""
        check_key(key)
        with _translated(key), self._folder(key) as (folder, name), _opened(folder, name) as descriptor:
            return os.fdopen(os.dup(descriptor), "rb")

    def stat(self, key: str) -> BlobStat:
        check_key(key)
        with _translated(key), self._folder(key) as (folder, name):
            return _stat(folder, name, key)

    def delete(self, key: str) -> None:
        check_key(key)
        with suppress(BlobNotFound), _translated(key), self._folder(key) as (folder, name):
            os.unlink(name, dir_fd=folder)
            with suppress(FileNotFoundError):
                os.unlink(_type_name(name), dir_fd=folder)

    def list(self, prefix: str) -> Iterator[BlobStat]:
        above, _, _ = prefix.rpartition("/")
        if above:
            check_key(above)
        keys = []
        for folder, _, names in os.walk(self._root / above, followlinks=False):
            relative = Path(folder).relative_to(self._root)
            keys += [(relative / name).as_posix() for name in names if not name.startswith(".")]
        for key in sorted(keys):
            if key.startswith(prefix):
                with suppress(BlobNotFound):  # deleted meanwhile, or a link that somebody put there
                    yield self.stat(key)

    def presigned_put(
        self, key: str, *, content_type: str, expires_s: int, size: int | None = None
    ) -> PresignedRequest:
        link = Link(
            method="PUT", key=check_key(key), content_type=content_type, max_bytes=self._max_bytes, exact_bytes=size
        )
        headers = {"Content-Type": content_type} | ({} if size is None else {"Content-Length": str(size)})
        return self._presigned(link, expires_s, headers)

    def presigned_post(
        self, key: str, *, content_type: str, max_bytes: int, expires_s: int, size: int | None = None
    ) -> PresignedRequest:
        link = Link(method="POST", key=check_key(key), content_type=content_type, max_bytes=max_bytes, exact_bytes=size)
        return self._presigned(link, expires_s, {}, {"key": key, "Content-Type": content_type})

    def begin_parts(self, key: str, *, content_type: str) -> str:
        check_key(key)
        with _translated(key, writing=True), self._folder(key, create=True) as (folder, name):
            with suppress(FileExistsError):
                os.mkdir(_parts_name(name), 0o700, dir_fd=folder)
            return _parts_name(name)

    def presigned_part(self, key: str, parts_id: str, number: int, *, size: int, expires_s: int) -> PresignedRequest:
        link = Link(method="PUT", key=check_key(key), part=number, exact_bytes=size, max_bytes=size)
        return self._presigned(link, expires_s, {"Content-Length": str(size)})

    def put_part(self, key: str, number: int, stream: IO[bytes]) -> str:
        """Stores a part; returns its ETag. Raises BlobNotFound: the blob is complete, or its upload was aborted."""
        check_key(key)
        with _translated(key), self._parts(key) as parts:
            _write(parts, _part_name(number), stream)
            with _opened(parts, _part_name(number)) as descriptor, os.fdopen(descriptor, "rb", closefd=False) as file:
                return f'"{hashlib.file_digest(file, "sha256").hexdigest()}"'

    def join_parts(self, key: str, parts_id: str, etags: Sequence[str], *, content_type: str) -> None:
        check_key(key)
        try:
            with _translated(key), self._parts(key) as parts:
                self.put_stream(
                    key, io.BufferedReader(_Joined(parts, etags), _COPIED_AT_ONCE), content_type=content_type
                )
        except BlobNotFound:
            self.stat(key)  # joined before
        self.drop_parts(key)

    def drop_parts(self, key: str) -> None:
        check_key(key)
        with suppress(BlobNotFound), _translated(key), self._folder(key) as (folder, name):
            shutil.rmtree(_parts_name(name), dir_fd=folder)

    def presigned_get(self, key: str, *, filename: str, expires_s: int) -> PresignedRequest:
        return self._presigned(Link(method="GET", key=check_key(key), filename=filename), expires_s, {})

    def read_link(self, token: str, method: str) -> Link:
        """The link of a token, for a request of this method. Raises LinkInvalid."""
        return self._signer.read(token, method)

    def _presigned(
        self, link: Link, expires_s: int, headers: dict[str, str], fields: dict[str, str] | None = None
    ) -> PresignedRequest:
        token, expires_at = self._signer.sign(link, expires_s=expires_s)
        return PresignedRequest(link.method, f"{self._public_url}/blobs/{token}", headers, expires_at, fields or {})

    @contextmanager
    def _parts(self, key: str) -> Iterator[int]:
        """The opened folder of a key's parts."""
        with self._folder(key) as (folder, name):
            descriptor = os.open(_parts_name(name), _FOLDER, dir_fd=folder)
            try:
                yield descriptor
            finally:
                os.close(descriptor)

    @contextmanager
    def _folder(self, key: str, *, create: bool = False) -> Iterator[tuple[int, str]]:
        """The opened folder of a key, and the name in it."""
        *folders, name = key.split("/")
        descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for folder in folders:
                if create:
                    with suppress(FileExistsError):
                        os.mkdir(folder, 0o700, dir_fd=descriptor)
                inner = os.open(folder, _FOLDER, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor, name
        finally:
            os.close(descriptor)


class _Joined(io.RawIOBase):
    """A blob's parts as one stream, each compared with its ETag. Reading raises PartsInvalid."""

    def __init__(self, folder: int, etags: Sequence[str]) -> None:
        self._folder = folder
        self._etags = list(enumerate(etags, 1))[::-1]
        self._part: BinaryIO | None = None
        self._digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while self._etags:
            number, etag = self._etags[-1]
            if self._part is None:
                self._part = self._opened(number)
                self._digest = hashlib.sha256()
            count = self._part.readinto(buffer)  # type: ignore[attr-defined]
            if count:
                self._digest.update(memoryview(buffer)[:count])
                return int(count)
            if self._digest.hexdigest() != etag.strip('"'):
                raise PartsInvalid
            self._etags.pop()
            self._part.close()
            self._part = None
        return 0

    def close(self) -> None:
        if self._part is not None:
            self._part.close()
        super().close()

    def _opened(self, number: int) -> BinaryIO:
        try:
            with _opened(self._folder, _part_name(number)) as descriptor:
                return os.fdopen(os.dup(descriptor), "rb")
        except FileNotFoundError as error:
            raise PartsInvalid from error


@contextmanager
def _translated(key: str, *, writing: bool = False) -> Iterator[None]:
    """Turns errors of the operating system into the store's."""
    try:
        yield
    except OSError as error:
        if error.errno in _MISPLACED and writing:
            raise InvalidKey(f"{key!r} is in the way of another key.") from error
        if error.errno in _MISPLACED or (error.errno == errno.ENOENT and not writing):
            raise BlobNotFound(key) from error
        if error.errno in _FULL:
            raise BlobStoreFull(f"The folder of the blobs has no room: {error.strerror}.") from error
        raise BlobStoreUnavailable(f"The folder of the blobs failed: {error.strerror}.") from error


@contextmanager
def _opened(folder: int, name: str) -> Iterator[int]:
    """A regular file, opened for reading."""
    descriptor = os.open(name, _READ, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        yield descriptor
    finally:
        os.close(descriptor)


def _stat(folder: int, name: str, key: str) -> BlobStat:
    with _opened(folder, name) as descriptor:
        status = os.fstat(descriptor)
    with _opened(folder, _type_name(name)) as descriptor, os.fdopen(descriptor, "rb", closefd=False) as file:
        content_type = file.read().decode()
    return BlobStat(key, status.st_size, content_type, datetime.fromtimestamp(status.st_mtime, UTC))


def _write(folder: int, name: str, stream: IO[bytes]) -> None:
    """Replaces a file atomically: a reader sees the old bytes or the new ones, also after a power cut."""
    draft = f".{secrets.token_hex(8)}.draft"
    descriptor = os.open(draft, _CREATE, 0o600, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            shutil.copyfileobj(stream, file, _COPIED_AT_ONCE)
            file.flush()
            os.fsync(file.fileno())
        os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(draft, dir_fd=folder)
        raise
    os.fsync(folder)


def _type_name(name: str) -> str:
    return f".{name}.type"


def _parts_name(name: str) -> str:
    return f".{name}.parts"


def _part_name(number: int) -> str:
    return f".{number:05d}"
