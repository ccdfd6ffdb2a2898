"""Text marks through a worker: for a job, for single images, and without the packages that find them."""

from __future__ import annotations

import numpy as np
import pytest

from cleanplate.base.masks import FileMask, TextMask
from cleanplate.base.settings import Settings
from model.text import reading
from storage.ledger.jobs.submission import submit_job
from storage.records import ImageState, NewImage, NewJob
from tests.catalogue import Catalogue, bar_mask, catalogue_in, pixels_of, png
from tests.shop import RIGHTS
from tests.texts import HEIGHT, laid, letters, printed
from tests.unit.workers.conftest import WorkerOn
from tests.unit.workers.device.templates.test_templates import job_with, uploaded
from workers.device.images.pipeline import run_shard

MARK = TextMask(mode="text", texts=["Doe Shirts"])


def test_text_marks_of_a_job_are_repaired_and_print_stays(settings: Settings, worker_on: WorkerOn) -> None:
    marked, ink = laid(printed(), letters("Doe Shirts"), (0.7, 0.85))
    bare = png(printed(2))
    with catalogue_in(settings) as catalogue:
        job = job_with(catalogue, [png(marked), bare, b"no picture"], MARK)
        run_shard(catalogue.ids(job), worker_on(settings))
        cleaned, untouched, broken = catalogue.images(job)
        assert (cleaned.state, cleaned.error_detail) == (ImageState.SUCCEEDED, None)
        assert (cleaned.record.texts, cleaned.record.marks, cleaned.record.texts_seen) == (
            ["Doe Shirts"],
            1,
            2,
        )
        result = pixels_of(catalogue.blobs.get(cleaned.result_key or ""))
        assert np.array_equal(result[: HEIGHT // 2], marked[: HEIGHT // 2])
        assert np.abs(result.astype(int) - marked)[ink].mean() > 20
        assert (untouched.state, untouched.record.reason) == (ImageState.SKIPPED, "text_not_found")
        assert untouched.record.texts_seen == 1
        assert (untouched.content_type, untouched.tiles_done) == ("image/png", 0)
        assert catalogue.blobs.get(untouched.result_key or "") == bare
        assert (broken.state, broken.error_code) == (ImageState.FAILED, "image_unreadable")


def test_one_image_has_its_text_found_and_another_its_mask(catalogue: Catalogue, worker_on: WorkerOn) -> None:
    marked, _ = laid(printed(), letters("Doe Shirts"), (0.7, 0.85))
    first, second, mask = uploaded(catalogue, [png(marked), png(marked), png(bar_mask(*marked.shape[:2]))])
    images = [
        NewImage(name=None, source_upload_id=first, mask=MARK),
        NewImage(name=None, source_upload_id=second),
    ]
    new = NewJob(images=images, mask=FileMask(upload_id=mask), rights=RIGHTS)
    job = submit_job(catalogue.database, catalogue.tenant_id, new)
    run_shard(catalogue.ids(job), worker_on(catalogue.settings))
    found, painted = catalogue.images(job)
    assert (found.state, painted.state) == (ImageState.SUCCEEDED, ImageState.SUCCEEDED)
    assert found.record.texts == ["Doe Shirts"]
    assert painted.record.texts is None


def test_a_worker_without_the_packages_leaves_the_image_to_another(
    catalogue: Catalogue, worker_on: WorkerOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "missing", lambda: ["onnxruntime"])
    job = job_with(catalogue, [png(printed())], MARK)
    run_shard(catalogue.ids(job), worker_on(catalogue.settings))
    (image,) = catalogue.images(job)
    assert (image.state, image.attempt) == (ImageState.QUEUED, 1)
