"""Converts weights of other projects: ``pull`` fetches, ``convert`` translates, ``verify`` checks.

Each written file gets a neighbour ``NAME.safetensors.sha256``, in the format of ``sha256sum -c``.
"""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from cleanplate.base import files
from cleanplate.base.weights import PUBLISHED, Published
from cleanplate.client.retries import Retries
from cleanplate.errors import DigestWrong, DiskFull, UsageError
from cleanplate.local.downloads import Download, Progress, digest_of
from model.errors import ModelError

if TYPE_CHECKING:
    from model.networks.weights import Description


@dataclass(frozen=True)
class Verified:
    """A weights file that loads, with finite values of the expected shapes."""

    path: Path
    description: Description
    parameters: int
    #: Hexadecimal.
    sha256: str


def pull(
    known: Published,
    out: Path,
    *,
    on_progress: Progress,
    url: str = "",
    retries: Retries | None = None,
    observed: AbstractContextManager[object] | None = None,
) -> Verified:
    """Fetch published weights and convert them to ``out``; an interrupted pull resumes.

    ``url``: a mirror to fetch them from; the digest stays the publisher's. ``observed`` is entered while this pull is
    the only one.

    Raises:
        UsageError: another pull of the same weights runs.
        DownloadFailed, DigestWrong: the file did not arrive, or is another one.
        DiskFull: the disk has no room for the file and its converted copy.
        WeightsRejected: it holds no known network.
    """
    make_folder(out.parent)
    partial = out.with_name(f"{known.name}.partial")
    try:
        with FileLock(out.with_name(f".{known.name}.lock"), timeout=0), observed or nullcontext():
            download = Download(url or known.url, partial, retries=retries)
            download.fetch(known.digest, _requiring_room(out.parent, on_progress))
            made = convert(partial, out, source=known.provenance, licence=known.licence)
            download.discard()
            return made
    except Timeout:
        raise UsageError(
            f"Another `cleanplate weights pull {known.name}` is running: wait for it, or stop it."
        ) from None


def _requiring_room(folder: Path, on_progress: Progress) -> Progress:
    """``on_progress`` that first requires room for the rest of the file and for its converted copy, once."""
    required: list[int] = []

    def note(arrived: int, total: int | None) -> None:
        if total is not None and not required:
            required.append(2 * total - arrived)
            if shutil.disk_usage(folder).free < required[0]:
                raise DiskFull(folder, required[0])
        on_progress(arrived, total)

    return note


def publication(file: Path) -> Published | None:
    """The published weights with the file's digest; ``None`` for any other file."""
    algorithms = {known.digest.partition(":")[0] for known in PUBLISHED.values()}
    digests = {digest_of(file, algorithm) for algorithm in algorithms}
    return next((known for known in PUBLISHED.values() if known.digest in digests), None)


def convert(file: Path, out: Path, *, source: str, licence: str) -> Verified:
    """Write the weights in ``file`` to ``out`` as fp32 safetensors, and verify the written file.

    Raises:
        WeightsRejected: it is no checkpoint, or of no known network.
    """
    import torch

    from model.checkpoints.reading import read_checkpoint
    from model.networks.weights import save_state

    checkpoint = read_checkpoint(file, source=source, licence=licence)
    note = digest_note(out)
    note.unlink(missing_ok=True)  # the note of a previous file
    save_state(checkpoint.state, checkpoint.description, out, dtype=torch.float32)
    try:
        made = verify(out)
    except ModelError:
        out.unlink()  # the service would offer it
        raise
    with files.replacing(note) as text:
        text.write(f"{made.sha256}  {out.name}\n".encode())
    return made


def verify(path: Path) -> Verified:
    """Load a weights file and describe it.

    Raises:
        WeightsRejected: it does not load, or has values that are not finite.
        DigestWrong: it is not the file that this machine wrote.
    """
    from model.networks.weights import load_network

    network, description = load_network(path)
    digest = digest_of(path, "sha256")
    note = digest_note(path)
    if note.is_file():
        expected = f"sha256:{note.read_text().partition(' ')[0]}"
        if expected != digest:
            raise DigestWrong(str(path), expected=expected, found=digest)
    return Verified(
        path, description, sum(parameter.numel() for parameter in network.parameters()), digest.partition(":")[2]
    )


def digest_note(path: Path) -> Path:
    """The file with the SHA-256 of a weights file."""
    return path.with_name(f"{path.name}.sha256")


def make_folder(folder: Path) -> None:
    """Create the folder of weights; a home folder that is created with it is private, as ``up`` needs it."""
    files.make_home_folder(folder.parent)
    files.make_folder(folder, way_out=files.OTHER_HOME)
