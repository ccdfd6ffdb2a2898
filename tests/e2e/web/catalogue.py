"""A shop's folder of small pictures with one mark, and jobs of it handed over through the API."""

from __future__ import annotations

from pathlib import Path

from cleanplate.client import Client, JobAnswer, Rights
from tests.catalogue import bar_mask, picture, png
from tests.embedded import Embedded

HEIGHT, WIDTH = 64, 48
RIGHTS = Rights(basis="owner", attested_by="Jo Doe", reference="own photographs")


def folder_of(path: Path, count: int, *, broken: int = 0) -> Path:
    """So many different pictures; the last ``broken`` of them end early."""
    path.mkdir(parents=True)
    for number in range(count):
        file = png(picture(number, HEIGHT, WIDTH))
        whole = number < count - broken
        (path / f"shirt-{number:03}.png").write_bytes(file if whole else file[: len(file) // 2])
    return path


def mask_in(path: Path) -> Path:
    """The mask's file."""
    file = path / "mask.png"
    file.write_bytes(png(bar_mask(HEIGHT, WIDTH)))
    return file


def submitted(service: Embedded, pictures: Path, mask: Path | list[Path], **rest: object) -> JobAnswer:
    """A job of a folder's pictures, with one mask or, in their order, one for each."""
    with Client(service.url, service.key, transfers=8) as client:
        return client.submit(sorted(pictures.iterdir()), masks=mask, rights=RIGHTS, **rest)  # type: ignore[arg-type]
