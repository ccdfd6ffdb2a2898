"""Coders that die, hang or have no memory: their picture is tried again, and no other picture notices."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cleanplate.base.settings import Settings
from storage.migrate import migrate
from storage.records import Job
from tests.faults.conftest import Service, started
from tests.faults.hold import Hold
from tests.faults.s3_proxy import S3Proxy
from tests.running import children, is_alive, kill, until
from workers.errors import CoderLost

LOST = ("failed", CoderLost.code)
#: Seconds for one step of a worker: long enough for a busy machine, short enough to wait for.
STUCK_S = 40.0


@pytest.fixture(scope="module")
def _service(hold: Hold, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = Settings(home=tmp_path_factory.mktemp("home"), coders=2, stuck_s=STUCK_S)
    migrate(settings.sqlalchemy_url)
    with started(settings, tmp_path_factory.mktemp("logs"), S3Proxy()) as service:
        yield service


@pytest.fixture
def service(_service: Service) -> Service:
    """Embedded, with two coders."""
    _service.restore()
    return _service


def coders(service: Service) -> list[int]:
    """Process ids of the coders, once there are some."""
    return [
        coder
        for celery in children(service.worker.process.pid)
        for child in children(celery)
        for server in children(child)
        for coder in children(server)
    ]


def assert_only_lost(service: Service, job: Job, lost_before: int) -> None:
    """All images succeed; each coder that was lost since cost one attempt, and there was one."""
    service.assert_done_once(job)
    lost = lost_coders(service) - lost_before
    attempts = service.attempts(job)
    assert lost >= 1
    assert sorted(attempts) == [LOST] * lost + [("succeeded", None)] * len(service.catalogue.images(job))


def lost_coders(service: Service) -> int:
    return service.worker.log.count('"coder.lost"')


def test_a_killed_coder_costs_its_picture_one_attempt(service: Service, hold: Hold) -> None:
    before = lost_coders(service)
    with hold.holding("coders"):
        job = service.submit_small(4)
        kill(until(hold.coder, lambda: f"no coder was asked: {service.worker.log[-3000:]}"))
    assert_only_lost(service, job, before)


def test_a_coder_that_hangs_is_killed_at_the_time_limit_of_a_step(service: Service, hold: Hold) -> None:
    before = lost_coders(service)
    with hold.holding("coders"):
        job = service.submit_small(4)
        victim = until(hold.coder, lambda: f"no coder was asked: {service.worker.log[-3000:]}")
        os.kill(victim, signal.SIGSTOP)
    until(lambda: victim not in coders(service), "the stopped coder was not killed")
    assert_only_lost(service, job, before)
    assert service.worker.process.poll() is None
    assert "worker.replaced" not in service.worker.log


def test_a_coder_without_memory_is_replaced(service: Service) -> None:
    # What libraries load for such pictures is there: what has no room then is the picture.
    service.assert_done_once(service.submit(4))
    before = coders(service)
    for pid in before:
        used = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
        resource.prlimit(pid, resource.RLIMIT_AS, (used + (1 << 20), resource.RLIM_INFINITY))
    job = service.submit(2)
    service.assert_done_once(job)
    assert ("failed", "device_out_of_memory") in service.attempts(job)
    assert not set(before) & set(coders(service))


def test_the_server_of_coders_is_started_again(service: Service) -> None:
    service.assert_done_once(service.submit_small(1))
    [celery] = children(service.worker.process.pid)
    [child] = children(celery)
    [server] = children(child)
    left = children(server)
    kill(server)
    until(lambda: not any(is_alive(pid) for pid in left), "its coders live on")
    service.assert_done_once(service.submit_small(2))
    assert children(child) != [server]


def test_no_coder_outlives_its_worker(service: Service, hold: Hold) -> None:
    service.assert_done_once(service.submit_small(1))
    [celery] = children(service.worker.process.pid)
    [child] = children(celery)
    [server] = children(child)
    left = [server, *children(server)]
    with hold.holding("coders"):
        job = service.submit_small(3)
        until(hold.coder, "no coder was asked")
        kill(child)
    until(lambda: not any(is_alive(pid) for pid in left), "coders live on")
    service.assert_done_once(job)
    left = coders(service)
    assert service.worker.stop() == 0, service.worker.log
    assert not any(is_alive(pid) for pid in left)
