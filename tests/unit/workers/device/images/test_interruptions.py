"""Interruptions of a shard: cancellation, a lost lease, a stopping process, the time limit, a killed session."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from billiard.pool import soft_timeout_sighandler

from cleanplate.base.settings import Settings
from storage.database import Database
from storage.ledger.images.reaper import reap_leases
from storage.ledger.jobs.changes import cancel_job
from storage.records import Counts, ImageState, Job
from tests.catalogue import Catalogue, catalogue_in, dotted_mask, picture, png
from tests.running import until
from tests.unit.workers.conftest import WorkerOn
from workers.device.drain import Drain
from workers.device.images.pipeline import Shard, run_shard

#: Many passes of the network: a picture that can be caught midway.
SIDE = 1920
PASSES = 36


@pytest.fixture(scope="module")
def large() -> tuple[bytes, bytes]:
    """A picture and its mask of ``PASSES`` dots."""
    return png(picture(0, SIDE, SIDE)), png(dotted_mask(SIDE, SIDE))


def quick(settings: Settings) -> Settings:
    """Settings with many heartbeats a second."""
    return settings.model_copy(update={"heartbeat_s": 0.05})


def midway(catalogue: Catalogue, job: Job) -> None:
    """Wait until the network works on an image of the job."""
    until(
        lambda: any(0 < image.tiles_done < PASSES for image in catalogue.images(job)),
        lambda: f"no image was seen midway: {catalogue.images(job)}",
    )


@pytest.fixture
def meanwhile() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Run a function beside the test; its exception fails the test."""
    threads: list[threading.Thread] = []
    errors: list[BaseException] = []

    def begin(action: Callable[[], object]) -> None:
        def run() -> None:
            try:
                action()
            except BaseException as error:
                errors.append(error)

        threads.append(threading.Thread(target=run))
        threads[-1].start()

    yield begin
    for thread in threads:
        thread.join()
    assert errors == []


Meanwhile = Callable[[Callable[[], object]], None]


def test_canceled_image_is_dropped_midway(
    catalogue: Catalogue, worker_on: WorkerOn, large: tuple[bytes, bytes], meanwhile: Meanwhile
) -> None:
    source, mask = large
    job = catalogue.submit([source, source], mask)
    counted: list[Counts] = []

    def cancel() -> None:
        midway(catalogue, job)
        counted.append(cancel_job(catalogue.database, catalogue.tenant_id, job.id).counts)

    meanwhile(cancel)
    run_shard(catalogue.ids(job), worker_on(quick(catalogue.settings)))
    assert [image.state for image in catalogue.images(job)] == [ImageState.CANCELED] * 2
    assert catalogue.results(job) == []
    assert counted == [catalogue.job(job).counts] == [Counts(canceled=2)]


def test_lost_lease_ends_the_work_and_nothing_is_finished(
    catalogue: Catalogue, worker_on: WorkerOn, large: tuple[bytes, bytes], meanwhile: Meanwhile
) -> None:
    source, mask = large
    job = catalogue.submit([source], mask)

    def reap_from_the_future() -> None:
        midway(catalogue, job)
        later = Database.connect(
            catalogue.settings.sqlalchemy_url, clock=lambda: datetime.now(UTC) + timedelta(hours=1)
        )
        assert reap_leases(later, max_attempts=3).counts == (1, 0)
        later.close()

    meanwhile(reap_from_the_future)
    run_shard(catalogue.ids(job), worker_on(quick(catalogue.settings)))
    [image] = catalogue.images(job)
    assert (image.state, image.attempt, image.result_key) == (ImageState.QUEUED, 1, None)
    assert catalogue.attempts(image) == [("lost", "worker_lost")]
    assert catalogue.results(job) == []
    assert catalogue.job(job).counts == Counts(queued=1)


def test_draining_worker_gives_back_images_that_it_has_not_begun(catalogue: Catalogue, worker_on: WorkerOn) -> None:
    job = catalogue.submit([png(picture(seed)) for seed in range(3)], png(dotted_mask(200, 160, 160)))
    drain = Drain()
    drain.begin()
    run_shard(catalogue.ids(job), worker_on(catalogue.settings, drain=drain))
    for image in catalogue.images(job):
        assert (image.state, image.attempt) == (ImageState.QUEUED, 0)
        assert catalogue.attempts(image) == []
    assert catalogue.job(job).counts == Counts(queued=3)


def test_draining_worker_ends_the_images_it_is_at(
    catalogue: Catalogue, worker_on: WorkerOn, large: tuple[bytes, bytes], meanwhile: Meanwhile
) -> None:
    source, mask = large
    worker = worker_on(quick(catalogue.settings), drain=(drain := Drain(seconds=600)))
    total = worker.inpainter.pictures_at_once + 2
    job = catalogue.submit([source] * total, mask)

    def begin_to_drain() -> None:
        midway(catalogue, job)
        drain.begin()

    meanwhile(begin_to_drain)
    run_shard(catalogue.ids(job), worker)
    counts = catalogue.job(job).counts
    assert counts.succeeded >= 1
    assert counts == Counts(queued=total - counts.succeeded, succeeded=counts.succeeded)
    assert counts.queued >= 2


def test_image_that_outlasts_the_drain_is_given_back(
    catalogue: Catalogue, worker_on: WorkerOn, large: tuple[bytes, bytes], meanwhile: Meanwhile
) -> None:
    source, mask = large
    job = catalogue.submit([source], mask)
    drain = Drain(seconds=0)

    def begin_to_drain() -> None:
        midway(catalogue, job)
        drain.begin()

    meanwhile(begin_to_drain)
    run_shard(catalogue.ids(job), worker_on(quick(catalogue.settings), drain=drain))
    [image] = catalogue.images(job)
    assert (image.state, image.attempt) == (ImageState.QUEUED, 0)


@pytest.fixture
def _soft_time_limit() -> Iterator[None]:
    """The signal by which Celery's pool tells a child of its soft time limit."""
    before = signal.signal(signal.SIGUSR1, soft_timeout_sighandler)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("_soft_time_limit")
@pytest.mark.parametrize(
    ("limit_s", "codes"),
    [(3600, []), (0.01, [("failed", "time_limit_exceeded")])],
    ids=["came late: given back", "took the whole time: failed"],
)
def test_time_limit_reaches_an_image_midway(
    *,
    catalogue: Catalogue,
    worker_on: WorkerOn,
    large: tuple[bytes, bytes],
    meanwhile: Meanwhile,
    limit_s: float,
    codes: list[tuple[str, str]],
) -> None:
    source, mask = large
    job = catalogue.submit([source], mask)

    def limit() -> None:
        midway(catalogue, job)
        os.kill(os.getpid(), signal.SIGUSR1)

    meanwhile(limit)
    settings = quick(catalogue.settings).model_copy(update={"task_time_limit_s": limit_s})
    run_shard(catalogue.ids(job), worker_on(settings))
    [image] = catalogue.images(job)
    assert image.state is ImageState.QUEUED
    assert catalogue.attempts(image) == codes
    assert catalogue.job(job).counts == Counts(queued=1)


@pytest.mark.usefixtures("_soft_time_limit")
@pytest.mark.parametrize(
    ("limit_s", "codes"),
    [(3600, []), (0.01, [("failed", "time_limit_exceeded")])],
    ids=["came late: given back", "took the whole time: failed"],
)
def test_time_limit_reaches_all_shards_under_way(
    *,
    catalogue: Catalogue,
    worker_on: WorkerOn,
    large: tuple[bytes, bytes],
    meanwhile: Meanwhile,
    limit_s: float,
    codes: list[tuple[str, str]],
) -> None:
    source, mask = large
    first, second = jobs = [catalogue.submit([source], mask) for _ in range(2)]
    ended: list[Counts] = []
    shards = [Shard(catalogue.ids(second), lambda: ended.append(catalogue.job(second).counts))]

    def limit() -> None:
        for job in jobs:
            midway(catalogue, job)
        os.kill(os.getpid(), signal.SIGUSR1)

    meanwhile(limit)
    settings = quick(catalogue.settings).model_copy(update={"task_time_limit_s": limit_s})
    run_shard(catalogue.ids(first), worker_on(settings), lambda: shards.pop() if shards else None)
    for job in jobs:
        [image] = catalogue.images(job)
        assert image.state is ImageState.QUEUED
        assert catalogue.attempts(image) == codes
    assert ended == [Counts(queued=1)]


def test_ledger_that_drops_its_sessions_midway_costs_nothing(
    server_settings: Settings, worker_on: WorkerOn, large: tuple[bytes, bytes], meanwhile: Meanwhile
) -> None:
    source, mask = large
    with catalogue_in(server_settings) as catalogue:
        job = catalogue.submit([source, png(picture(1, SIDE, SIDE))], mask)

        def drop_sessions() -> None:
            midway(catalogue, job)
            with psycopg.connect(server_settings.database_url.get_secret_value(), autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )

        meanwhile(drop_sessions)
        run_shard(catalogue.ids(job), worker_on(quick(server_settings)))
        assert catalogue.job(job).counts == Counts(succeeded=2)
        assert [image.attempt for image in catalogue.images(job)] == [1, 1]
