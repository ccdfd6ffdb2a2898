"""The journal of a submission, in a file: an interrupted submission resumes and sends nothing twice.

The journal gets a line after each step: an upload that arrived, the job that was made. A file that has changed counts
as another file. The job's ``Idempotency-Key`` follows from the journal's own name and the request, so that a request
whose answer was lost gets the same job.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from cleanplate.base.documents import JsonObject
from cleanplate.errors import UsageError


@dataclass
class Begun:
    """A file in ``count`` parts, all but the last of ``part_bytes`` bytes; ``etags`` holds the parts that arrived."""

    upload_id: str
    part_bytes: int
    count: int
    #: By the part's number, from 1.
    etags: dict[int, str] = field(default_factory=dict)


class Journal:
    """The journal in ``path``; it reads existing lines and appends new ones. Thread-safe, for one process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._uploads: dict[tuple[str, int, int], str] = {}
        self._begun: dict[tuple[str, int, int], Begun] = {}
        self._name = ""
        self._jobs: dict[str, str] = {}
        for line in self._lines():
            self._take(line)
        if not self._name:
            self._add({"journal": uuid4().hex})

    def uploaded(self, file: Path) -> str | None:
        """The id of this file's upload, if it arrived and the file has not changed."""
        return self._uploads.get(_identity(file))

    def note_upload(self, file: Path, upload_id: str) -> None:
        """Note that the file has arrived."""
        path, size, changed = _identity(file)
        self._add({"file": path, "size": size, "mtime_ns": changed, "upload": upload_id})

    def begun(self, file: Path) -> Begun | None:
        """The parts of this file that arrived, if its transfer began and the file has not changed."""
        return self._begun.get(_identity(file))

    def note_begun(self, file: Path, begun: Begun) -> None:
        """Note that the file goes in parts; none has arrived."""
        path, size, changed = _identity(file)
        identity = {"file": path, "size": size, "mtime_ns": changed}
        self._add({**identity, "begun": begun.upload_id, "part_bytes": begun.part_bytes, "count": begun.count})

    def note_part(self, upload_id: str, number: int, etag: str) -> None:
        """Note that a part has arrived."""
        self._add({"part": number, "etag": etag, "of": upload_id})

    def forget_uploads(self) -> None:
        """Note that the service no longer has the uploads."""
        self._add({"forget": True})

    def key_for(self, body: JsonObject) -> str:
        """The Idempotency-Key of a request with this body."""
        return hashlib.sha256(f"{self._name}\n{json.dumps(body, sort_keys=True)}".encode()).hexdigest()

    def job_of(self, body: JsonObject) -> str | None:
        """The id of the job that this body made, if any."""
        return self._jobs.get(self.key_for(body))

    def note_job(self, job_id: str, body: JsonObject) -> None:
        """Note the job that this body made."""
        self._add({"job": job_id, "key": self.key_for(body)})

    def close(self) -> None:
        """Delete the journal: the next submission begins anew."""
        self._path.unlink(missing_ok=True)

    def _lines(self) -> list[JsonObject]:
        try:
            text = self._path.read_text()
        except FileNotFoundError:
            return []
        lines = []
        # The process died while it wrote a last line without an end: that step is done again.
        for line in text.splitlines(keepends=True):
            if line.endswith("\n"):
                try:
                    lines.append(json.loads(line))
                except ValueError:
                    raise UsageError(f"{self._path} is not a journal of `submit`: move it away.") from None
        if text and not text.endswith("\n"):
            self._path.write_text("".join(text.splitlines(keepends=True)[:-1]))
        return lines

    def _take(self, line: JsonObject) -> None:
        if "journal" in line:
            self._name = line["journal"]
        elif "upload" in line:
            self._uploads[line["file"], line["size"], line["mtime_ns"]] = line["upload"]
        elif "begun" in line:
            place = (line["file"], line["size"], line["mtime_ns"])
            self._begun[place] = Begun(line["begun"], line["part_bytes"], line["count"])
        elif "part" in line:
            for begun in self._begun.values():
                if begun.upload_id == line["of"]:
                    begun.etags[line["part"]] = line["etag"]
        elif "forget" in line:
            self._uploads.clear()
            self._begun.clear()
        elif "job" in line:
            self._jobs[line["key"]] = line["job"]

    def _add(self, line: JsonObject) -> None:
        with self._lock:
            self._take(line)
            with self._path.open("a") as file:
                file.write(json.dumps(line) + "\n")
                file.flush()
                os.fsync(file.fileno())


def _identity(file: Path) -> tuple[str, int, int]:
    stat = file.stat()
    return str(file.resolve()), stat.st_size, stat.st_mtime_ns
