"""The whole service finds, approves and removes the mark of a catalogue."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cleanplate.client.answers import Rights
from cleanplate.client.http import Client
from tests.catalogue import pixels_of
from tests.e2e.conftest import Service
from tests.marked import MARK_HEIGHT, MARK_WIDTH, marked_pictures
from tests.running import until

RIGHTS = Rights(basis="owner", attested_by="Jo Doe", reference="made for a test")


def write_pictures(folder: Path, count: int) -> dict[str, NDArray[np.uint8]]:
    """Write marked pictures as files; their originals by file name."""
    folder.mkdir()
    originals = {}
    for number, (marked, original) in enumerate(marked_pictures(count)):
        name = f"{number:02}.png"
        Image.fromarray(marked).save(folder / name)
        originals[name] = original
    return originals


def test_a_catalogue_is_cleaned_of_the_mark_that_it_shares(service: Service, tmp_path: Path) -> None:
    originals = write_pictures(tmp_path / "marked", 30)
    with Client(service.url, service.key) as client:
        pictures = sorted((tmp_path / "marked").iterdir())
        job = client.submit(pictures, mask={"mode": "auto"}, rights=RIGHTS)
        assert job.state == "estimating"
        until(lambda: job.refresh().state != "estimating", lambda: f"the estimate did not end: {job.answer}")
        (template,) = client.templates.list(job_id=job.id)
        assert (job.state, template.state, template.error) == ("needs_review", "needs_review", None)
        client.templates.preview(template, "before-1", tmp_path / "before.png")
        assert pixels_of((tmp_path / "before.png").read_bytes()).size
        job.approve()
        job.download(tmp_path / "clean")
        assert job.counts.succeeded == 30
        assert client.templates.get(template.id).state == "ready"
    for name, original in originals.items():
        result = pixels_of((tmp_path / "clean" / name).read_bytes())
        outside = np.ones(result.shape[:2], np.bool_)
        outside[-(MARK_HEIGHT + 20) :, -(MARK_WIDTH + 20) :] = False
        assert np.array_equal(result[outside], original[outside])
        assert np.abs(result.astype(int) - original)[~outside].mean() < 4
