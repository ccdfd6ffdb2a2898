"""A shop's folder of small pictures with one mark, and jobs of it, submitted through the API."""

from __future__ import annotations

from pathlib import Path

import httpx

from cleanplate.client.http import Client, JobAnswer, Rights
from tests.catalogue import bar_mask, dotted_mask, picture, png
from tests.embedded import Embedded

HEIGHT, WIDTH = 64, 48
LARGE = 1024
RIGHTS = Rights(basis="owner", attested_by="Jo Doe", reference="own photographs")


def folder_of(path: Path, count: int, *, broken: int = 0) -> Path:
    """Write ``count`` different pictures; the last ``broken`` files are truncated."""
    path.mkdir(parents=True)
    for number in range(count):
        file = png(picture(number, HEIGHT, WIDTH))
        whole = number < count - broken
        (path / f"shirt-{number:03}.png").write_bytes(file if whole else file[: len(file) // 2])
    return path


def mask_in(path: Path) -> Path:
    """Write the mask's file."""
    file = path / "mask.png"
    file.write_bytes(png(bar_mask(HEIGHT, WIDTH)))
    return file


def lasting_in(path: Path, count: int) -> tuple[Path, Path]:
    """Write large pictures and a mask: the network takes about a second for each, in many passes."""
    pictures, mask = path / "lasting", path / "dots.png"
    pictures.mkdir()
    for number in range(count):
        (pictures / f"shirt-{number:03}.png").write_bytes(png(picture(number, LARGE, LARGE)))
    mask.write_bytes(png(dotted_mask(LARGE, LARGE, 256)))
    return pictures, mask


def submit_folder(service: Embedded, pictures: Path, mask: Path | list[Path], **rest: object) -> JobAnswer:
    """Submit the pictures of a folder, with one mask for all or a list with one for each, in their order."""
    with Client(service.url, service.key, transfers=8) as client:
        return client.submit(sorted(pictures.iterdir()), masks=mask, rights=RIGHTS, **rest)  # type: ignore[arg-type]


def submit_paused(service: Embedded, pictures: Path, mask: Path) -> JobAnswer:
    """Submit the pictures of a folder as a paused job."""
    with api_client(service) as http:
        http.put("/v1/pause").raise_for_status()
        job = submit_folder(service, pictures, mask)
        http.post(f"/v1/jobs/{job.id}/pause").raise_for_status()
        http.delete("/v1/pause").raise_for_status()
    return job


def api_client(service: Embedded) -> httpx.Client:
    """A client of the service's API, with the key of its folder."""
    return httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {service.key}"}, timeout=60)
