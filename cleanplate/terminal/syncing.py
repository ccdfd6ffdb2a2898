"""Keeps clean pictures in step with marked ones: sends what is new, and skips what was done.

Of a bucket the service itself compares source and destination. Of a folder there is a record, a file of JSON Lines. It
has a line for each picture that was cleaned: its path, the SHA-256 of its file, and where its result is. A picture is
new if its hash is not that of the record, or its result is gone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Unpack

from cleanplate.base.masks import JobMask
from cleanplate.client.answers import ImageAnswer, JobAnswer, ResultLine, Rights
from cleanplate.client.http import Client
from cleanplate.client.job import result_path, sha256_of
from cleanplate.client.requests import Picture, Terms
from cleanplate.errors import Refused, UsageError
from cleanplate.terminal.buckets import left_out_lines

#: The record's name, in the folder of the results, or of the pictures where results go into a bucket.
RECORD = ".cleanplate-sync.jsonl"


@dataclass(frozen=True)
class Synced:
    """A picture that was cleaned."""

    path: str
    #: Of the picture's file.
    sha256: str
    size: int
    mtime_ns: int
    #: Path in the folder of the results, or an address in S3.
    result: str


class Record:
    """The pictures that were cleaned, by path. Raises UsageError: the file is no record."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._synced: dict[str, Synced] = {}
        text = path.read_text() if path.exists() else ""
        # The process died while it wrote a last line without an end: that picture is done again.
        whole, _, _ = text.rpartition("\n")
        try:
            for line in whole.splitlines():
                one = Synced(**json.loads(line))
                self._synced[one.path] = one
        except (ValueError, TypeError):
            raise UsageError(f"{path} is not a record of `sync`: move it away.") from None
        if text and not text.endswith("\n"):
            path.write_text(f"{whole}\n" if whole else "")

    def of(self, path: str) -> Synced | None:
        """What is known of a picture."""
        return self._synced.get(path)

    def note(self, synced: Synced) -> None:
        """Write that a picture was cleaned."""
        self._synced[synced.path] = synced
        with self._path.open("a") as file:
            file.write(json.dumps(asdict(synced)) + "\n")
            file.flush()
            os.fsync(file.fileno())


@dataclass(frozen=True)
class Report:
    """The work of a run; ``job`` is ``None`` where nothing was new."""

    job: JobAnswer | None
    cleaned: int
    #: Pictures that were done before; ``None``: ``left_out`` says it.
    skipped: int | None
    unfinished: list[ImageAnswer]
    #: Lines about keys of a bucket that were left out.
    left_out: list[str] = field(default_factory=list)


def new_pictures(folder: Path, pictures: Sequence[Path], record: Record, out: Path | None) -> dict[Path, Synced]:
    """The pictures that are new or changed, with what the record will say of them but the result."""
    fresh: dict[Path, Synced] = {}
    for picture in pictures:
        path, stat = picture.relative_to(folder).as_posix(), picture.stat()
        known = record.of(path)
        is_there = known is not None and (out is None or (out / known.result).is_file())
        if known is not None and is_there and (known.size, known.mtime_ns) == (stat.st_size, stat.st_mtime_ns):
            continue
        one = Synced(path, sha256_of(picture), stat.st_size, stat.st_mtime_ns, known.result if known else "")
        if known is not None and is_there and known.sha256 == one.sha256:
            # Touched, and the same: the next run need not read it.
            record.note(one)
            continue
        fresh[picture] = one
    return fresh


def sync_bucket(
    client: Client,
    url: str,
    mask: Path | JobMask,
    *,
    rights: Rights,
    on_job: Callable[[JobAnswer], None],
    **terms: Unpack[Terms],
) -> Report:
    """Clean the pictures under ``s3://bucket/prefix/`` without a result in the destination of ``terms``, as one job.

    Raises:
        ClientError: the service refused, or could not be reached.
    """
    try:
        job = client.submit_folder(url, mask=mask, rights=rights, only_new=True, **terms)
    except Refused as error:
        if error.code != "nothing_new":
            raise
        return Report(None, 0, None, [], [str(error)])
    left_out = list(left_out_lines(client.skipped(job.id), job.answer.rows_skipped))
    ended = job.wait(on_change=on_job).answer
    unfinished = [image for image in job.images() if not image.result_url]
    return Report(ended, ended.total - len(unfinished), None, unfinished, left_out)


def sync_folder(
    client: Client,
    folder: Path,
    pictures: Sequence[Path],
    mask: Path | JobMask,
    *,
    out: Path | None,
    rights: Rights,
    on_job: Callable[[JobAnswer], None],
    **terms: Unpack[Terms],
) -> Report:
    """Clean the pictures that are new as one job; their results go into ``out``, or where ``terms`` say.

    Raises:
        UsageError: the record cannot be read.
        ClientError: the service refused, or could not be reached.
    """
    record = Record((folder if out is None else out) / RECORD)
    fresh = new_pictures(folder, pictures, record, out)
    skipped = len(pictures) - len(fresh)
    if not fresh:
        return Report(None, 0, skipped, [])
    sent = [Picture(file=picture, path=one.path) for picture, one in fresh.items()]
    if isinstance(mask, Path):
        job = client.submit(sent, masks=mask, rights=rights, **terms)
    else:
        job = client.submit(sent, mask=mask, rights=rights, **terms)
    job.wait(on_change=on_job)
    by_path = {one.path: one for one in fresh.values()}
    cleaned = 0
    for line in client.results(job.id):
        one = by_path[line.path or ""]
        result = line.destination_url or "" if out is None else _fetch(client, line, out)
        record.note(Synced(one.path, one.sha256, one.size, one.mtime_ns, result))
        cleaned += 1
    return Report(job.answer, cleaned, skipped, [image for image in job.images() if not image.result_url])


def _fetch(client: Client, line: ResultLine, out: Path) -> str:
    """Fetch a result to its path, in place of an earlier one; its path in the folder."""
    inner = result_path(line)
    path = out / inner
    path.parent.mkdir(parents=True, exist_ok=True)
    client.download(line, path)
    return inner.as_posix()
