"""A job's one mask: the mark under it is learned from the job's pictures, once, by the process that needs it first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from structlog.testing import capture_logs

from cleanplate.base.masks import BoxesMask
from storage.records import ImageState, Job
from tests.catalogue import Catalogue, pixels_of, png
from tests.unit.model.watermark.test_learned import coverage, error, painted, under
from tests.unit.workers.conftest import WorkerOn
from workers.device.coders.pool import OwnThreads
from workers.device.coders.work import learn
from workers.device.images.pipeline import run_shard
from workers.errors import CoderLost

Pixels = NDArray[np.uint8]
COUNT = 14
PICTURES = [under(coverage(), seed) for seed in range(COUNT)]
MASK = cv2.imencode(".png", painted())[1].tobytes()


def learned_files(catalogue: Catalogue, job: Job) -> list[str]:
    return [stat.key for stat in catalogue.blobs.list(f"t/{catalogue.tenant_id}/jobs/{job.id}/learned/")]


def result(catalogue: Catalogue, key: str | None) -> Pixels:
    return pixels_of(catalogue.blobs.get(key or ""))


def test_a_job_learns_the_mark_under_its_mask_once_and_says_from_how_many_pictures(
    catalogue: Catalogue, worker_on: WorkerOn
) -> None:
    # A file that is no picture tells nothing, and its own repair says why.
    sources = [b"no picture" if seed == 5 else png(given) for seed, (given, _) in enumerate(PICTURES)]
    job = catalogue.submit(sources, MASK)
    ids = catalogue.ids(job)
    with capture_logs() as logs:
        run_shard(ids[:7], worker_on(catalogue.settings))
        # Another process finds what the first one learned.
        run_shard(ids[7:], worker_on(catalogue.settings))
    assert [line["samples"] for line in logs if line["event"] == "mark.learned"] == [COUNT - 1]
    assert len(learned_files(catalogue, job)) == 1
    for image, (_, original) in zip(catalogue.images(job), PICTURES, strict=True):
        if image.error_code is not None:
            assert image.error_code == "image_unreadable"
            continue
        assert image.state is ImageState.SUCCEEDED
        assert image.record.learned_from == COUNT - 1
        assert image.record.recovered > 0.8
        assert "un-blending" in image.record.method
        cleaned = result(catalogue, image.result_key)
        assert error(cleaned, original) < 12
    assert sum(image.state is ImageState.FAILED for image in catalogue.images(job)) == 1


@pytest.mark.parametrize("kept_back", ["method", "few pictures", "own masks"])
def test_nothing_is_learned_where_it_is_not_wanted_or_cannot_be(
    catalogue: Catalogue, worker_on: WorkerOn, kept_back: str
) -> None:
    count = 6 if kept_back == "few pictures" else COUNT
    options = {"method": "fill"} if kept_back == "method" else {}
    boxes = BoxesMask(boxes=[(40, 60, 120, 30)]) if kept_back == "own masks" else None
    job = catalogue.submit([png(given) for given, _ in PICTURES[:count]], MASK, options=options, own_mask=boxes)
    run_shard(catalogue.ids(job)[:3], worker_on(catalogue.settings))
    assert learned_files(catalogue, job) == []
    assert [image.record.learned_from for image in catalogue.images(job)] == [None] * count


def test_a_job_whose_pictures_share_no_mark_is_repaired_as_before_and_is_asked_once(
    catalogue: Catalogue, worker_on: WorkerOn
) -> None:
    job = catalogue.submit([png(original) for _, original in PICTURES], MASK)
    ids = catalogue.ids(job)
    with capture_logs() as logs:
        for part in (ids[:7], ids[7:]):
            run_shard(part, worker_on(catalogue.settings))
    assert [line["found"] for line in logs if line["event"] == "mark.learned"] == [False]
    assert all(image.state is ImageState.SUCCEEDED for image in catalogue.images(job))
    assert all(image.record.learned_from is None for image in catalogue.images(job))


class LosesTheLearner(OwnThreads):
    """Coding whose process dies over what pictures share."""

    def run(self, work: Callable[..., Any], nbytes: int, /, *given: Any, **named: Any) -> Any:
        if work is learn:
            raise CoderLost("died")
        return super().run(work, nbytes, *given, **named)


def test_a_process_that_dies_over_learning_costs_no_picture(catalogue: Catalogue, worker_on: WorkerOn) -> None:
    job = catalogue.submit([png(given) for given, _ in PICTURES], MASK)
    worker = worker_on(catalogue.settings)
    vars(worker)["coding"] = LosesTheLearner(worker.activity)
    with capture_logs() as logs:
        run_shard(catalogue.ids(job)[:3], worker)
    assert [line["event"] for line in logs if line["event"].startswith("mark.")] == ["mark.not_learned", "mark.learned"]
    assert [image.state for image in catalogue.images(job)[:3]] == [ImageState.SUCCEEDED] * 3
