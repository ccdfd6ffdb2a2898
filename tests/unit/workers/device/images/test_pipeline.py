"""Shards through the pipeline, with the real ledger, blob store and network: how each image ends."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import threading
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import update

from cleanplate.base.image_records import ExtensionChange, ExtensionKept
from cleanplate.base.settings import Settings
from model.engine.inpainter import LaMaInpainter
from model.repair.hole import dilate
from model.repair.task import Task
from storage import tables
from storage.blobs.base import Blobs
from storage.ledger.images.reaper import close_jobs, fold_deltas
from storage.ledger.operations import audit
from storage.records import Counts, ImageState, Job, JobState
from storage.tables import jobs
from tests.catalogue import HEIGHT, WIDTH, Catalogue, bar_mask, catalogue_in, picture, pixels_of, png
from tests.running import until
from tests.servers import S3Server, free_port
from tests.unit.workers.conftest import WorkerOn
from workers.device.images.pipeline import run_shard

MASK = png(bar_mask())


def test_images_of_a_shard_succeed(settings: Settings, worker_on: WorkerOn) -> None:
    with catalogue_in(settings) as catalogue:
        sources = [picture(seed) for seed in range(3)]
        job = catalogue.submit([png(source) for source in sources], MASK)
        run_shard(catalogue.ids(job), worker_on(settings))
        images = catalogue.images(job)
        assert [image.state for image in images] == [ImageState.SUCCEEDED] * 3
        assert catalogue.results(job) == sorted(image.result_key or "" for image in images)
        for source, image in zip(sources, images, strict=True):
            assert image.record.dilation_px is not None
            outside = dilate(bar_mask(), image.record.dilation_px + 1) == 0
            assert image.result_key == f"t/{catalogue.tenant_id}/jobs/{job.id}/results/{image.id}.png"
            assert (image.width, image.height, image.content_type) == (WIDTH, HEIGHT, "image/png")
            assert image.tiles_done == image.tiles_total == 1
            assert (image.record.worker, image.record.device) == ("here:1:cpu", "cpu")
            assert (image.record.precision, image.record.device_notes) == ("fp32", [])
            assert set(image.record.seconds) == {"fetch", "decode", "network", "encode", "read_back", "store"}
            result = pixels_of(catalogue.blobs.get(image.result_key))
            assert np.array_equal(result[outside], source[outside])
            assert not np.array_equal(result, source)
        assert close_jobs(catalogue.database) == [job.id]
        assert catalogue.job(job).state is JobState.COMPLETED


def test_the_device_hears_of_a_pictures_plan_before_its_tiles(
    catalogue: Catalogue, worker_on: WorkerOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    fill, warm = LaMaInpainter.fill, LaMaInpainter.warm

    def heard(inpainter: LaMaInpainter, task: Task) -> None:
        calls.append(f"{task.tiles_total} ahead")
        warm(inpainter, task)

    def filled(inpainter: LaMaInpainter, task: Task, *rest: Any, **options: Any) -> Any:
        calls.append("fill")
        return fill(inpainter, task, *rest, **options)

    monkeypatch.setattr(LaMaInpainter, "warm", heard)
    monkeypatch.setattr(LaMaInpainter, "fill", filled)
    job = catalogue.submit([png(picture())], MASK)
    run_shard(catalogue.ids(job), worker_on(catalogue.settings))
    assert calls == ["1 ahead", "fill"]


def test_the_record_says_that_a_results_extension_is_not_that_of_the_pictures_name(
    catalogue: Catalogue, worker_on: WorkerOn
) -> None:
    out = io.BytesIO()
    Image.fromarray(picture()).save(out, "WEBP", lossless=True)
    job = catalogue.submit([out.getvalue(), png(picture())], MASK)
    run_shard(catalogue.ids(job), worker_on(catalogue.settings))
    misnamed, named = catalogue.images(job)
    assert (misnamed.name, misnamed.content_type) == ("0.png", "image/webp")
    assert misnamed.record.extension_changed == ExtensionChange.of(".png", ".webp")
    assert named.record.extension_changed is None


def test_a_name_is_kept_whole_where_the_job_asks_for_it(catalogue: Catalogue, worker_on: WorkerOn) -> None:
    out = io.BytesIO()
    Image.fromarray(picture()).save(out, "WEBP", lossless=True)
    job = catalogue.submit([out.getvalue()], MASK, options={"keep_extension": True})
    run_shard(catalogue.ids(job), worker_on(catalogue.settings))
    (misnamed,) = catalogue.images(job)
    assert misnamed.record.extension_kept == ExtensionKept(name=".png", format=".webp")
    assert misnamed.record.extension_changed is None
    assert (misnamed.result_key or "").endswith(".png")
    assert misnamed.content_type == "image/webp"


def test_a_second_attempt_refuses_what_a_process_of_its_own_cannot_decode(
    catalogue: Catalogue, worker_on: WorkerOn
) -> None:
    hole = bytearray(png(picture()))
    hole[len(hole) // 2 : len(hole) // 2 + 40] = bytes(40)
    job = catalogue.submit([bytes(hole)], MASK)
    with catalogue.database.write() as connection:
        connection.execute(update(tables.images).values(attempt=1))
    run_shard(catalogue.ids(job), worker_on(catalogue.settings))
    (image,) = catalogue.images(job)
    assert (image.state, image.attempt) == (ImageState.FAILED, 2)
    assert image.error_code in ("image_unreadable", "image_truncated")


def test_the_audit_log_names_the_worker_at_which_an_image_failed(catalogue: Catalogue, worker_on: WorkerOn) -> None:
    source = png(picture())
    job = catalogue.submit([b"no picture", source], png(bar_mask()[:-5]))
    run_shard(catalogue.ids(job), worker_on(catalogue.settings))
    assert {image.state for image in catalogue.images(job)} == {ImageState.FAILED}
    audit.chain(catalogue.database)
    _, *ended = audit.chained_entries(catalogue.database, catalogue.tenant_id)
    assert {(entry.action, entry.actor) for entry in ended} == {("image.failed", "worker:here:1:cpu")}


def test_the_audit_log_keeps_the_hashes_of_what_went_in_and_came_out(catalogue: Catalogue, worker_on: WorkerOn) -> None:
    source = png(picture())
    job = catalogue.submit([source], MASK)
    run_shard(catalogue.ids(job), worker_on(catalogue.settings))
    (image,) = catalogue.images(job)
    audit.chain(catalogue.database)
    _, ended = audit.chained_entries(catalogue.database, catalogue.tenant_id)
    assert (ended.action, ended.actor, ended.image_id) == ("image.succeeded", "worker:here:1:cpu", image.id)
    files = {"source": source, "mask": MASK, "result": catalogue.blobs.get(image.result_key or "")}
    assert ended.data["sha256"] == {name: hashlib.sha256(file).hexdigest() for name, file in files.items()}
    assert ended.data["method"] == image.record.method
    assert ended.data["method"].startswith("FFC inpainting (")


def test_bad_images_fail_with_their_codes_and_stop_no_other(catalogue: Catalogue, worker_on: WorkerOn) -> None:
    good = png(picture())
    job = catalogue.submit([good, b"not a picture", None, png(picture(1, 120, 100)), good[:200], good], MASK)
    run_shard(catalogue.ids(job), worker_on(catalogue.settings))
    first, garbage, missing, other_size, truncated, last = catalogue.images(job)
    assert first.state is last.state is ImageState.SUCCEEDED
    codes = [image.error_code for image in (garbage, missing, other_size, truncated)]
    assert codes == ["image_unreadable", "blob_not_found", "mask_size_mismatch", "image_truncated"]
    for image in (garbage, missing, other_size, truncated):
        assert image.state is ImageState.FAILED
        assert image.error_detail
        assert catalogue.attempts(image) == [("failed", image.error_code)]
    assert catalogue.job(job).counts == Counts(succeeded=2, failed=4)


class Slow:
    """A blob store in front of another that holds one key back until it is released."""

    def __init__(self, blobs: Blobs, key: str) -> None:
        self._blobs, self._key = blobs, key
        self.released = threading.Event()

    def get(self, key: str, *, max_bytes: int | None = None) -> bytes:
        if key == self._key:
            assert self.released.wait(120)
        return self._blobs.get(key, max_bytes=max_bytes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._blobs, name)


def test_slow_image_stops_no_other(catalogue: Catalogue, worker_on: WorkerOn) -> None:
    job = catalogue.submit([png(picture(seed)) for seed in range(12)], MASK)
    slow, *others = catalogue.images(job)
    worker = worker_on(catalogue.settings)
    blobs = Slow(worker.blobs, slow.source_key)
    shard = threading.Thread(
        target=run_shard, args=(catalogue.ids(job), dataclasses.replace(worker, blobs=cast(Blobs, blobs)))
    )
    shard.start()
    until(
        lambda: catalogue.job(job).counts.succeeded == len(others),
        lambda: f"the others wait for the slow one: {catalogue.job(job).counts}",
    )
    assert catalogue.images(job)[0].state is ImageState.RUNNING
    blobs.released.set()
    shard.join()
    assert catalogue.job(job).counts == Counts(succeeded=12)


def test_tiles_of_several_pictures_share_passes(catalogue: Catalogue, worker_on: WorkerOn) -> None:
    job = catalogue.submit([png(picture(seed)) for seed in range(16)], MASK)
    worker = worker_on(catalogue.settings)
    before = worker.inpainter.engine.load
    run_shard(catalogue.ids(job), worker)
    after = worker.inpainter.engine.load
    assert catalogue.job(job).counts == Counts(succeeded=16)
    assert after.tiles - before.tiles == 16
    assert after.passes - before.passes < 16


def test_lost_device_costs_those_an_attempt_that_were_on_it(catalogue: Catalogue, worker_on: WorkerOn) -> None:
    job = catalogue.submit([png(picture(seed)) for seed in range(30)], MASK)
    with LaMaInpainter(device="cpu", threads=1) as inpainter:
        inpainter.engine.lost = True
        worker = dataclasses.replace(worker_on(catalogue.settings), inpainter=inpainter)
        assert not run_shard(catalogue.ids(job), worker)
    images = catalogue.images(job)
    assert {image.state for image in images} == {ImageState.QUEUED}
    tried = [image for image in images if image.attempt == 1]
    assert 1 <= len(tried) <= inpainter.pictures_at_once
    assert all(catalogue.attempts(image) == [("failed", "device_lost")] for image in tried)
    assert all(catalogue.attempts(image) == [] for image in images if image not in tried)


def test_picture_over_the_limits_fails(catalogue: Catalogue, worker_on: WorkerOn) -> None:
    job = catalogue.submit([png(picture())], MASK)
    run_shard(catalogue.ids(job), worker_on(catalogue.settings.model_copy(update={"max_image_pixels": 1000})))
    [image] = catalogue.images(job)
    assert (image.state, image.error_code) == (ImageState.FAILED, "image_too_many_pixels")


def test_file_over_the_limits_fails(catalogue: Catalogue, worker_on: WorkerOn) -> None:
    job = catalogue.submit([png(picture())], MASK)
    run_shard(catalogue.ids(job), worker_on(catalogue.settings.model_copy(update={"max_image_bytes": 2000})))
    [image] = catalogue.images(job)
    assert (image.state, image.error_code) == (ImageState.FAILED, "image_too_large")


def test_store_that_is_away_puts_the_image_back_for_later(
    server_settings: Settings, s3_server: S3Server, worker_on: WorkerOn
) -> None:
    with catalogue_in(server_settings) as catalogue:
        job = catalogue.submit([png(picture())], MASK)
        away = f"http://127.0.0.1:{free_port()}"
        run_shard(catalogue.ids(job), worker_on(server_settings.model_copy(update={"s3_endpoint_url": away})))
        [image] = catalogue.images(job)
        assert (image.state, image.attempt) == (ImageState.QUEUED, 1)
        assert catalogue.attempts(image) == [("failed", "blob_store_unavailable")]
        assert catalogue.job(job).counts == Counts(queued=1)


def spoil_options(catalogue: Catalogue, job: Job) -> None:
    """The API refuses such options; a ledger that holds them all the same is a failure that nobody foresaw."""
    with catalogue.database.write() as connection:
        connection.execute(update(jobs).where(jobs.c.id == job.id).values(options={"dilation_px": "wide"}))


def test_unforeseen_failure_is_tried_again_and_ends_as_internal_error(
    catalogue: Catalogue, worker_on: WorkerOn
) -> None:
    job = catalogue.submit([png(picture())], MASK)
    spoil_options(catalogue, job)
    run_shard(catalogue.ids(job), worker_on(catalogue.settings))
    [image] = catalogue.images(job)
    assert (image.state, image.attempt) == (ImageState.QUEUED, 1)

    other = catalogue.submit([png(picture())], MASK)
    spoil_options(catalogue, other)
    run_shard(catalogue.ids(other), worker_on(catalogue.settings.model_copy(update={"max_attempts": 1})))
    [image] = catalogue.images(other)
    assert (image.state, image.error_code) == (ImageState.FAILED, "internal_error")
    assert image.id in (image.error_detail or "")


def test_message_that_comes_twice_changes_nothing(catalogue: Catalogue, worker_on: WorkerOn) -> None:
    job = catalogue.submit([png(picture())], MASK)
    worker = worker_on(catalogue.settings)
    run_shard(catalogue.ids(job), worker)
    before = catalogue.images(job)
    run_shard(catalogue.ids(job), worker)
    assert catalogue.images(job) == before
    fold_deltas(catalogue.database)
    assert catalogue.job(job).counts == Counts(succeeded=1)


@pytest.mark.parametrize("ids", [[], ["img_unknown"]])
def test_message_without_work_is_let_go(catalogue: Catalogue, worker_on: WorkerOn, ids: list[str]) -> None:
    run_shard(ids, worker_on(catalogue.settings))
