"""A job in the hands of whoever submitted it: wait for it, follow it, fetch what came of it.

::

    job = client.submit(pictures, masks=mask, rights=rights)
    job.wait()
    job.download(Path("clean"))
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cleanplate.base.names import candidates, stem_and_extension
from cleanplate.client.answers import ImageAnswer, ImageState, JobAnswer, JobCounts, JobState, ResultLine
from model.formats import ENDINGS_BY_TYPE

if TYPE_CHECKING:
    from cleanplate.client.http import Client


class Job:
    """One job of a service. ``answer`` is what was last heard of it; ``refresh`` asks again."""

    def __init__(self, client: Client, answer: JobAnswer) -> None:
        self._client = client
        self.answer = answer

    def __repr__(self) -> str:
        return f"<Job {self.id}: {self.state}, {self.counts.ended} of {self.total} images ended>"

    @property
    def id(self) -> str:
        return self.answer.id

    @property
    def state(self) -> JobState:
        return self.answer.state

    @property
    def total(self) -> int:
        return self.answer.total

    @property
    def counts(self) -> JobCounts:
        return self.answer.counts

    @property
    def ended(self) -> bool:
        return self.answer.ended

    def refresh(self) -> Job:
        """Ask how far it is."""
        self.answer = self._client.job(self.id)
        return self

    def wait(self, *, on_change: Callable[[JobAnswer], None] | None = None, or_review: bool = False) -> Job:
        """Until it has ended, also over restarts of the service; ``on_change`` hears of each change.

        ``or_review``: or until it waits for a person (``needs_review``).
        """
        self.answer = self._client.wait(self.id, on_change=on_change, or_review=or_review)
        return self

    def events(self) -> Iterator[JobAnswer]:
        """The job as it changes, until it has ended."""
        for answer in self._client.events(self.id):
            self.answer = answer
            yield answer

    def cancel(self) -> Job:
        """Stop it: images that have not ended end as ``canceled``."""
        self.answer = self._client.cancel(self.id)
        return self

    def approve(self, templates: Sequence[str] | None = None) -> Job:
        """Let it begin where it needs review: with what was found in its pictures, or with other templates."""
        self.answer = self._client.approve(self.id, templates)
        return self

    def images(self, *, state: ImageState | None = None) -> Iterator[ImageAnswer]:
        """Its images by position."""
        return self._client.images(self.id, state=state)

    def download(self, folder: Path, *, on_done: Callable[[int], None] | None = None) -> dict[str, Path]:
        """Fetch all results into ``folder`` (made if missing), once the job has ended; the files by image id.

        Each file appears whole or not at all, under its picture's name; a name that is taken by another file gets a
        number. What is there already, by its SHA-256, is not fetched again: repeat it after an interruption.
        """
        self.wait()
        folder.mkdir(parents=True, exist_ok=True)
        wanted: dict[Path, ResultLine] = {}
        there: dict[str, Path] = {}
        taken: set[str] = set()
        for line in self._client.results(self.id):
            path, is_there = _place(folder, line, taken)
            taken.add(path.name.casefold())
            there[line.image_id] = path
            if is_there:
                if on_done is not None:
                    on_done(1)
            else:
                wanted[path] = line
        self._client.download_all(wanted, on_done=on_done)
        return there


def _place(folder: Path, line: ResultLine, taken: set[str]) -> tuple[Path, bool]:
    """Where a result belongs, and whether it is there."""
    for name in candidates(result_name(line)):
        if name.casefold() in taken:
            continue
        path = folder / name
        if not path.exists():
            return path, False
        if line.sha256 is not None and path.is_file() and sha256_of(path) == line.sha256:
            return path, True
    raise AssertionError("candidates never end")


def result_name(line: ResultLine) -> str:
    """The picture's own name as a plain file name, with the extension of what it has become."""
    plain = line.name.replace("/", "_").replace("\\", "_").lstrip(".") or "image"
    stem, extension = stem_and_extension(plain)
    known = ENDINGS_BY_TYPE.get(line.content_type or "", (extension,))
    return plain if extension.lower() in known else stem + known[0]


def sha256_of(path: Path) -> str:
    """Of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
