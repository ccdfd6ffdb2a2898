"""A read-only folder, no file descriptors, no memory: health answers, nothing is lost, it recovers by itself."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from api.stores import Stores
from cleanplate.base.settings import Settings
from storage.blobs.base import PresignedRequest
from storage.ledger.tenants.tenants import create_key, ensure_tenant
from tests import patient
from tests.api_process import served
from tests.faults.conftest import Service, started
from tests.faults.hold import Hold
from tests.faults.s3_proxy import S3Proxy
from tests.faults.test_killed_processes import children
from tests.running import MODULE, until
from tests.servers import free_port


def bound_by_modes() -> Sequence[str]:
    """The words before a command that let the modes of files bind root too, as they bind everybody else."""
    rights = "-dac_override,-dac_read_search"
    return ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"] if os.geteuid() == 0 else []


@contextmanager
def read_only(top: Path) -> Iterator[None]:
    """No file can be made in the folder, or below it, during the block."""
    folders = [Path(folder) for folder, _, _ in os.walk(top)]
    modes = [(folder, folder.stat().st_mode) for folder in folders]
    for folder in folders:
        folder.chmod(0o500)
    try:
        yield
    finally:
        for folder, mode in modes:
            folder.chmod(mode)


@contextmanager
def limited(pid: int, kind: int, limit: int) -> Iterator[None]:
    """A soft limit of a running process, during the block."""
    before = resource.prlimit(pid, kind)
    resource.prlimit(pid, kind, (limit, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, kind, before)


def descriptors(pid: int) -> int:
    """Number of a process's open files."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def address_space(pid: int) -> int:
    """Bytes that count towards RLIMIT_AS."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()


class Api:
    """The embedded API as a process, with a key and a link for uploads."""

    def __init__(self, settings: Settings) -> None:
        port = free_port()
        update = {"port": port, "public_url": f"http://127.0.0.1:{port}", "api_workers": 1}
        self.settings = settings.model_copy(update=update)
        with closing(Stores(self.settings)) as stores:
            tenant = ensure_tenant(stores.database, "shop")
            self._headers = {"Authorization": f"Bearer {create_key(stores.database, tenant, 'test')[1]}"}
            self._link: PresignedRequest = stores.blobs.presigned_put(
                f"t/{tenant}/uploads/upl_1", content_type="image/png", expires_s=3600
            )

    def get(self, path: str) -> httpx.Response:
        return patient.get(self.settings.public_url + path, headers=self._headers)

    def upload(self) -> httpx.Response:
        return patient.put(self._link.url, headers=self._link.headers, content=b"x" * 1000)

    def assert_well(self) -> None:
        until(lambda: self.get("/readyz").status_code == 200, "not ready again")
        assert self.get("/v1/jobs").status_code == 200
        assert self.upload().status_code == 204


@pytest.fixture
def api(embedded_settings: Settings) -> Api:
    return Api(embedded_settings)


def test_an_api_whose_folder_became_read_only_answers_what_it_can(api: Api, tmp_path: Path) -> None:
    with served(api.settings, tmp_path / "log", prefix=bound_by_modes()):
        api.assert_well()
        with read_only(api.settings.home):
            assert api.get("/healthz").status_code == 200
            assert api.get("/v1/jobs").status_code == 200
            refused = api.upload()
            assert (refused.status_code, refused.json()["code"]) == (503, "blob_store_unavailable")
            assert "cannot be written" in until(lambda: api.get("/readyz").json().get("detail"), "it is ready")
        api.assert_well()


def test_an_api_without_file_descriptors_answers_and_recovers(api: Api, tmp_path: Path) -> None:
    with served(api.settings, tmp_path / "log") as process:
        api.assert_well()
        [worker] = children(process.pid)
        idle = [socket.create_connection(("127.0.0.1", api.settings.port)) for _ in range(20)]
        until(lambda: descriptors(worker) >= 20, "the connections were not accepted")
        with limited(worker, resource.RLIMIT_NOFILE, descriptors(worker)):
            # Each takes the place of a connection that waits for its client.
            assert [api.get("/healthz").status_code for _ in range(5)] == [200] * 5
            assert api.get("/v1/jobs").status_code in {200, 503}
            assert api.upload().status_code in {204, 503}
        for connection in idle:
            connection.close()
        api.assert_well()


@pytest.fixture
def service(hold: Hold, embedded_settings: Settings, tmp_path: Path) -> Iterator[Service]:
    """A worker that the modes of files bind."""
    logs = tmp_path / "logs"
    logs.mkdir()
    with started(embedded_settings, logs, S3Proxy(), program=[*bound_by_modes(), *MODULE]) as service:
        yield service


def worker_child(service: Service) -> int:
    """The process that holds the network, once it works."""
    service.assert_done_once(service.submit_small(1))
    [celery] = children(service.worker.process.pid)
    [child] = children(celery)
    return child


def test_a_worker_without_files_or_memory_loses_no_image(service: Service, hold: Hold) -> None:
    child = worker_child(service)

    def assert_tried(codes: set[str]) -> None:
        """An attempt at an image of the job ends with one of these codes, after which another follows."""
        until(
            lambda: codes & {code for _, code in service.attempts(job)},
            lambda: f"no attempt met the trouble: {service.attempts(job)}\n{service.worker.log[-3000:]}",
        )

    with service.midway(hold, 2) as job, read_only(service.settings.home / "blobs"):
        hold.release()
        assert_tried({"blob_store_unavailable"})
    service.assert_done_once(job)
    with limited(child, resource.RLIMIT_AS, address_space(child) + (64 << 20)):
        job = service.submit_small(2)
        assert_tried({"device_out_of_memory", "internal_error"})
    service.assert_done_once(job)
    with limited(child, resource.RLIMIT_NOFILE, descriptors(child)):
        job = service.submit_small(2)
        assert_tried({"blob_store_unavailable", "internal_error", "worker_lost"})
    service.assert_done_once(job)
