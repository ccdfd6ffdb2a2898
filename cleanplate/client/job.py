"""A handle on one job: wait for it, follow it, fetch its results.

::

    job = client.submit(pictures, masks=mask, rights=rights)
    job.wait()
    job.download(Path("clean"))
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal, Unpack

from cleanplate.base.files import make_folder
from cleanplate.base.names import candidates, safe_name, safe_path, stem_and_extension
from cleanplate.client.answers import (
    ErrorLine,
    ImageAnswer,
    JobAnswer,
    JobCounts,
    JobOverview,
    JobState,
    ResultLine,
)
from cleanplate.client.requests import ImageFilters
from model.formats import ENDINGS_BY_TYPE

if TYPE_CHECKING:
    from cleanplate.client.http import Client


class Job:
    """One job of a service. ``answer`` is its last known state; ``refresh`` asks again."""

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
        """Ask for its current state."""
        self.answer = self._client.job(self.id)
        return self

    def wait(self, *, on_change: Callable[[JobAnswer], None] | None = None, or_review: bool = False) -> Job:
        """Wait for its end, also over restarts of the service; ``on_change`` gets each change.

        ``or_review``: return also when it waits for a person (``needs_review``).
        """
        self.answer = self._client.wait(self.id, on_change=on_change, or_review=or_review)
        return self

    def events(self) -> Iterator[JobAnswer]:
        """Its state after each change, until it has ended."""
        for answer in self._client.events(self.id):
            self.answer = answer
            yield answer

    def cancel(self) -> Job:
        """Cancel it: images that have not ended end as ``canceled``."""
        self.answer = self._client.cancel(self.id)
        return self

    def retry(self) -> Job:
        """Queue its failed images again."""
        self.answer = self._client.retry(self.id)
        return self

    def pause(self) -> Job:
        """Pause it; running images go back to the queue without an attempt."""
        self.answer = self._client.pause(self.id)
        return self

    def resume(self) -> Job:
        """Resume it."""
        self.answer = self._client.resume(self.id)
        return self

    def delete(self) -> None:
        """Delete it with all its files."""
        self._client.delete(self.id)

    def approve(self, templates: Sequence[str] | None = None) -> Job:
        """Start it after a review: with the marks found in its pictures, or with other templates."""
        self.answer = self._client.approve(self.id, templates)
        return self

    def describe(
        self,
        *,
        name: str | None = None,
        labels: Sequence[str] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Job:
        """Change its name, labels or metadata, each as a whole; what is ``None`` stays."""
        self.answer = self._client.describe(self.id, name=name, labels=labels, metadata=metadata)
        return self

    def images(
        self, *, order: Literal["position", "doubt"] = "position", **filters: Unpack[ImageFilters]
    ) -> Iterator[ImageAnswer]:
        """Its images by position, or the most doubtful results first."""
        return self._client.images(self.id, order=order, **filters)

    def errors(self) -> Iterator[ErrorLine]:
        """Its failed images, with the reasons."""
        return self._client.errors(self.id)

    def overview(self) -> JobOverview:
        """Its failures by reason, and its seconds by stage."""
        return self._client.overview(self.id)

    def download(self, folder: Path, *, on_done: Callable[[int], None] | None = None) -> dict[str, Path]:
        """Fetch all results into ``folder`` (made if missing), once the job has ended; the files by image id.

        Each file appears whole or not at all, under its picture's path or name; a name that another file has gets a
        number.
        A file that is already there with the right SHA-256 is not fetched again, so an interrupted call can be
        repeated.
        """
        self.wait()
        make_folder(folder)
        missing: dict[Path, ResultLine] = {}
        files: dict[str, Path] = {}
        taken_paths: set[str] = set()
        for line in self._client.results(self.id):
            path, is_there = _place(folder, line, taken_paths)
            taken_paths.add(str(path).casefold())
            files[line.image_id] = path
            if not is_there:
                make_folder(path.parent)
                missing[path] = line
            elif on_done is not None:
                on_done(1)
        self._client.download_all(missing, on_done=on_done)
        return files


def _place(folder: Path, line: ResultLine, taken_paths: set[str]) -> tuple[Path, bool]:
    """The path of a result, and whether the result is already there."""
    inner = result_path(line)
    parent = folder / inner.parent
    for name in candidates(inner.name):
        path = parent / name
        if str(path).casefold() in taken_paths:
            continue
        if not path.exists():
            return path, False
        if line.sha256 is not None and path.is_file() and sha256_of(path) == line.sha256:
            return path, True
    raise AssertionError("candidates never end")


def result_path(line: ResultLine) -> PurePosixPath:
    """The result's path, or its name where it has none: safe on every system.

    By an older service, which does not say the file's name, the picture's with the ending of the format.
    """
    path = line.path or line.name.replace("/", "_")
    # No hidden folder or file: some programs run what lies in one.
    parts = [part.lstrip(".") or "_" for part in safe_path(path).split("/")]
    plain = PurePosixPath("/".join(map(safe_name, parts)))
    if line.file_name is not None:
        return plain.with_name(safe_name(line.file_name.lstrip(".") or "image"))
    stem, extension = stem_and_extension(plain.name)
    extensions = ENDINGS_BY_TYPE.get(line.content_type or "", (extension,))
    return plain if extension.lower() in extensions else plain.with_name(stem + extensions[0])


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
