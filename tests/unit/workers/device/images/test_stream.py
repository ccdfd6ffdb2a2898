"""One stream across shards: the next shard is leased before the last one's pictures are all written."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any, cast

import pytest
from sqlalchemy.exc import ArgumentError

from model.engine.inpainter import LaMaInpainter
from storage.blobs.base import Blobs
from storage.records import Counts, ImageState, Job
from tests.catalogue import Catalogue, bar_mask, picture, png
from tests.running import until
from tests.unit.workers.conftest import WorkerOn
from workers.device.drain import Drain
from workers.device.images.pipeline import Shard, run_shard

MASK = png(bar_mask())


class SlowToWrite:
    """A blob store in front of another that holds the writes of some keys back until they are released."""

    def __init__(self, blobs: Blobs, part_of_key: str) -> None:
        self._blobs, self._part_of_key = blobs, part_of_key
        self.released = threading.Event()

    def put(self, key: str, data: bytes, *, content_type: str) -> None:
        if self._part_of_key in key:
            assert self.released.wait(120)
        self._blobs.put(key, data, content_type=content_type)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._blobs, name)


class Following:
    """Gives out the shards of jobs, one after another, and notes the counts of each job at its shard's end."""

    def __init__(self, catalogue: Catalogue, *jobs: Job) -> None:
        self._catalogue, self._jobs = catalogue, list(jobs)
        self.ended: list[Counts] = []

    def __call__(self) -> Shard | None:
        if not self._jobs:
            return None
        job = self._jobs.pop(0)
        return Shard(self._catalogue.ids(job), lambda: self.ended.append(self._catalogue.job(job).counts))


def test_a_shard_begins_and_ends_while_the_one_before_is_still_written(
    catalogue: Catalogue, worker_on: WorkerOn
) -> None:
    first, second = (catalogue.submit([png(picture(seed)) for seed in range(2)], MASK) for _ in range(2))
    worker = worker_on(catalogue.settings)
    slow = SlowToWrite(worker.blobs, first.id)
    following = Following(catalogue, second)
    run = threading.Thread(
        target=run_shard, args=(catalogue.ids(first), dataclasses.replace(worker, blobs=cast(Blobs, slow)), following)
    )
    run.start()
    until(lambda: following.ended, lambda: f"the second shard waits for the first: {catalogue.job(second).counts}")
    assert following.ended == [Counts(succeeded=2)]
    assert catalogue.job(first).counts == Counts(running=2)
    slow.released.set()
    run.join()
    assert catalogue.job(first).counts == Counts(succeeded=2)


def test_no_shard_is_taken_while_the_device_has_enough_ahead(catalogue: Catalogue, worker_on: WorkerOn) -> None:
    worker = worker_on(catalogue.settings)
    enough = 2 * worker.inpainter.pictures_at_once
    job = catalogue.submit([png(picture(seed)) for seed in range(enough + 6)], MASK)
    begun = worker.inpainter.engine.load.tiles
    filled: list[int] = []
    run_shard(catalogue.ids(job), worker, lambda: filled.append(worker.inpainter.engine.load.tiles - begun))
    assert filled[0] > 6
    assert catalogue.job(job).counts == Counts(succeeded=enough + 6)


def test_a_draining_worker_takes_no_further_shard(catalogue: Catalogue, worker_on: WorkerOn) -> None:
    first, second = (catalogue.submit([png(picture())], MASK) for _ in range(2))
    drain = Drain()
    drain.begin()
    run_shard(catalogue.ids(first), worker_on(catalogue.settings, drain=drain), Following(catalogue, second))
    assert catalogue.job(first).counts == catalogue.job(second).counts == Counts(queued=1)
    assert [image.attempt for image in catalogue.images(second)] == [0]


def test_a_lost_device_ends_all_shards_and_costs_no_image_that_was_not_on_it(
    catalogue: Catalogue, worker_on: WorkerOn
) -> None:
    first, second = (catalogue.submit([png(picture(seed)) for seed in range(4)], MASK) for _ in range(2))
    with LaMaInpainter(device="cpu", threads=1) as inpainter:
        inpainter.engine.lost = True
        worker = dataclasses.replace(worker_on(catalogue.settings), inpainter=inpainter)
        assert not run_shard(catalogue.ids(first), worker, Following(catalogue, second))
    images = [*catalogue.images(first), *catalogue.images(second)]
    assert {image.state for image in images} == {ImageState.QUEUED}
    assert 1 <= sum(image.attempt for image in images) <= inpainter.pictures_at_once


def test_a_shard_that_fails_whole_takes_no_other_along(catalogue: Catalogue, worker_on: WorkerOn) -> None:
    job = catalogue.submit([png(picture())], MASK)
    ended: list[str] = []
    shards = [Shard(cast(list[str], None), lambda: ended.append("broken")), Shard(catalogue.ids(job))]
    with pytest.raises(ArgumentError):
        run_shard([], worker_on(catalogue.settings), lambda: shards.pop(0) if shards else None)
    assert ended == ["broken"]
    assert catalogue.job(job).counts == Counts(succeeded=1)
