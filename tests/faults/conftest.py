"""The service as real processes, with leases and timeouts short enough that a test can wait for their end.

Starting a worker takes longer than recovering from its death, so the tests of one module share a service. Processes
that a test killed are started again before the next test.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from cleanplate.base.settings import Settings
from storage.blobs import S3Blobs, open_blobs
from storage.records import ImageState, Job, JobState
from tests.catalogue import Catalogue, bar_mask, catalogue_in, dotted_mask, picture, png
from tests.faults.balance import imbalances
from tests.faults.hold import Hold, hold_in
from tests.faults.s3_proxy import S3Proxy, s3_proxy
from tests.running import MODULE, Running, running, until
from tests.servers import PostgresServer, RedisServer, S3Server
from tests.webhook_receiver import Receiver, receiver_running

#: Pixels of a side of pictures that each take the network about a second, in sixteen passes.
SIDE = 1024
#: The same where the worker is held after the first of four passes.
HELD_SIDE = 512


def hasty(settings: Settings) -> Settings:
    """These settings, with a recovery in seconds."""
    return settings.model_copy(
        update={
            "device": "cpu",
            "torch_threads": 1,
            "lease_s": 3.0,
            "heartbeat_s": 0.5,
            "s3_timeout_s": 2.0,
            # Longer than any test stops a process: these tests are about its leases.
            "hang_s": 120.0,
            "publish_timeout_s": 3.0,
            "dispatch_interval_s": 0.1,
            "shard_size": 2,
            "max_attempts": 20,
            "webhook_allow_private": True,
            "source_allow_private": True,
            "source_timeout_s": 10.0,
            "webhook_schedule_s": (0.5,) * 200,
        }
    )


class Service:
    """Worker and dispatcher over one ledger, and a tenant with pictures."""

    worker: Running
    dispatcher: Running

    def __init__(
        self,
        settings: Settings,
        catalogue: Catalogue,
        receiver: Receiver,
        logs: Path,
        store: S3Proxy,
        *,
        program: Sequence[str] = MODULE,
    ) -> None:
        self.settings = settings
        #: The object store that the worker sees.
        self.store = store
        self.catalogue = catalogue
        self.receiver = receiver
        self._logs = logs
        self._program = program
        self._running = ExitStack()
        self.start_dispatcher()
        self.start_worker()

    def start_worker(self) -> None:
        self.worker = self._start("worker")

    def start_dispatcher(self) -> None:
        self.dispatcher = self._start("dispatch")

    def _start(self, command: str) -> Running:
        log_path = self._logs / f"{len(list(self._logs.iterdir()))}-{command}.log"
        settings = self.settings.environment()
        return self._running.enter_context(
            running(command, settings=settings, log_path=log_path, program=self._program)
        )

    def restore(self) -> None:
        """Start the programs that an earlier test ended."""
        if self.dispatcher.process.poll() is not None:
            self.start_dispatcher()
        if self.worker.process.poll() is not None:
            self.start_worker()

    def stop(self) -> None:
        self._running.close()

    def submit(self, count: int, side: int = SIDE) -> Job:
        """Submit a job of square pictures that each take the network many passes."""
        sources = [png(picture(seed, side, side)) for seed in range(count)]
        return self.catalogue.submit(sources, png(dotted_mask(side, side, 256)), webhook_url=self.receiver.url)

    def submit_small(self, count: int) -> Job:
        """Submit a job of pictures that each take one pass."""
        sources = [png(picture(seed)) for seed in range(count)]
        return self.catalogue.submit(sources, png(bar_mask()), webhook_url=self.receiver.url)

    def attempts(self, job: Job) -> list[tuple[str | None, str | None]]:
        """Outcome and code of all attempts at a job's images."""
        return [attempt for image in self.catalogue.images(job) for attempt in self.catalogue.attempts(image)]

    @contextmanager
    def midway(self, hold: Hold, count: int) -> Iterator[Job]:
        """A job of ``count`` pictures; during the block the network has filled a tile of one and fills no other."""
        with hold.holding("all"):
            job = self.submit(count, HELD_SIDE)

            def at_work() -> bool:
                images = self.catalogue.images(job)
                return any(image.state is ImageState.RUNNING and image.tiles_done > 0 for image in images)

            until(at_work, lambda: f"no image was seen midway\n{self._state_and_logs(job)}")
            yield job

    def assert_done_once(self, job: Job) -> None:
        """Every image ends ``succeeded``, is counted once and has its result, and one event tells of the job's end."""
        until(
            lambda: self.catalogue.job(job).state is JobState.COMPLETED,
            lambda: f"the job did not complete\n{self._state_and_logs(job)}",
        )
        until(lambda: self._delivered(job), lambda: f"no event arrived\n{self._state_and_logs(job)}")
        images = self.catalogue.images(job)
        assert [image.state for image in images] == [ImageState.SUCCEEDED] * len(images), self._state_and_logs(job)
        done = self.catalogue.job(job)
        assert (done.counts.succeeded, done.counts.total) == (len(images), len(images))
        assert done.tiles_done == sum(image.tiles_done for image in images)
        assert self.catalogue.results(job) == sorted(image.result_key or "" for image in images)
        assert self.catalogue.events(job) == ["job.completed"]
        assert len(self._delivered(job)) == 1
        assert imbalances(self.catalogue.database, self.catalogue.blobs) == []

    def _delivered(self, job: Job) -> set[str]:
        """Ids of the events about a job that arrived."""
        return {
            received.headers["webhook-id"]
            for received in self.receiver.received
            if json.loads(received.body)["data"]["id"] == job.id
        }

    def _state_and_logs(self, job: Job) -> str:
        """The state of the job and the ends of all logs, for the message of a failed test."""
        logs = [f"--- {path.name}\n{path.read_text(errors='replace')[-6000:]}" for path in sorted(self._logs.iterdir())]
        images = [
            f"{image.id} {image.state} attempts {self.catalogue.attempts(image)}"
            for image in self.catalogue.images(job)
        ]
        return "\n".join([str(self.catalogue.job(job)), *images, *logs])


@contextmanager
def started(settings: Settings, logs: Path, store: S3Proxy, program: Sequence[str] = MODULE) -> Iterator[Service]:
    """The service during the block; ``program``: the words that begin its commands."""
    settings = hasty(settings)
    with receiver_running() as receiver, catalogue_in(settings) as catalogue:
        service = Service(settings, catalogue, receiver, logs, store, program=program)
        try:
            yield service
        finally:
            service.stop()


@pytest.fixture(scope="module")
def hold(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hold]:
    """Holds the workers of the services below."""
    with hold_in(tmp_path_factory.mktemp("hold")) as hold:
        yield hold


@pytest.fixture(scope="module")
def _service_on_servers(
    hold: Hold,
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: PostgresServer,
    redis_server: RedisServer,
    s3_server: S3Server,
) -> Iterator[Service]:
    database = postgres_server.new_database()
    with s3_proxy(s3_server.endpoint_url) as store:
        settings = Settings(
            home=tmp_path_factory.mktemp("home"),
            database_url=SecretStr(postgres_server.url(database)),
            broker_url=SecretStr(redis_server.new_database()),
            blobs_url=f"s3://test-{secrets.token_hex(8)}",
            s3_endpoint_url=store.endpoint_url,
            s3_access_key_id=SecretStr(s3_server.access_key_id),
            s3_secret_access_key=SecretStr(s3_server.secret_access_key),
        )
        blobs = open_blobs(settings)
        assert isinstance(blobs, S3Blobs)
        blobs.ensure_bucket()
        with started(settings, tmp_path_factory.mktemp("logs"), store) as service:
            yield service
    postgres_server.drop_database(database)


@pytest.fixture
def on_servers(_service_on_servers: Service) -> Service:
    """Running on Postgres, Redis and S3."""
    _service_on_servers.restore()
    return _service_on_servers


@pytest.fixture
def embedded(hold: Hold, embedded_settings: Settings, tmp_path: Path) -> Iterator[Service]:
    """Running on SQLite and folders."""
    logs = tmp_path / "logs"
    logs.mkdir()
    with started(embedded_settings, logs, S3Proxy()) as service:
        yield service
