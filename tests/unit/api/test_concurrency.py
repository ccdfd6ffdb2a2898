"""Slots of a process are released: at the end of an answer, and when its client leaves or stops reading."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

import httpx
import pytest

from api.concurrency import ConcurrencyLimiter
from cleanplate.base.settings import Settings
from storage.ledger.images.reaper import close_jobs
from tests.api_process import SERVE, served
from tests.servers import free_port
from tests.unit.api.calling import MakeService, Service

STREAMS = ["results", "errors", "skipped", "archive"]
BIG = b"x" * 24_000_000


@pytest.fixture
def narrow(make_service: MakeService, embedded_settings: Settings) -> Service:
    """A service that works on one request at a time."""
    return make_service(embedded_settings.model_copy(update={"api_threads": 1}))


def is_free(service: Service) -> bool:
    limiter = service.app.wsgi_app
    assert isinstance(limiter, ConcurrencyLimiter)
    free = limiter.working.acquire(blocking=False)
    if free:
        limiter.working.release()
    return free


def ended_job(service: Service) -> str:
    """The path of a job with results, one that is far larger than what a connection holds."""
    shop = service.caller()
    job = shop.submit(2)
    service.succeed(job["id"], BIG)
    close_jobs(service.stores.database)
    return str(job["links"]["self"])


@pytest.mark.parametrize("stream", STREAMS)
def test_a_stream_that_was_read_to_its_end_holds_no_slot(narrow: Service, stream: str) -> None:
    answer = narrow.caller().follow(f"{ended_job(narrow)}/{stream}")
    for _ in answer.iter_encoded():
        pass
    assert is_free(narrow)
    answer.close()
    assert is_free(narrow)


@pytest.mark.parametrize("stream", STREAMS)
def test_a_stream_that_is_closed_midway_holds_no_slot(narrow: Service, stream: str) -> None:
    answer = narrow.caller().follow(f"{ended_job(narrow)}/{stream}")
    answer.close()
    assert is_free(narrow)


def test_an_archive_that_cannot_begin_holds_no_slot(narrow: Service) -> None:
    path = ended_job(narrow)
    for blob in list(narrow.stores.blobs.list("")):
        narrow.stores.blobs.delete(blob.key)
    # The archive's length is told before its first byte: what is missing is an answer, not a cut.
    narrow.caller().problem("GET", f"{path}/archive", 404, "blob_not_found")
    assert is_free(narrow)


@pytest.mark.parametrize("goes", [True, False], ids=["goes away", "does not take it"])
def test_a_client_that_leaves_a_stream_midway_blocks_nobody(
    make_service: MakeService, embedded_settings: Settings, tmp_path: Path, goes: bool
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = embedded_settings.model_copy(update={"port": port, "api_workers": 1, "api_threads": 1})
    service = make_service(settings, public_url=url)
    path, shop = ended_job(service).removeprefix(url), service.caller()
    lines = "".join(f"{name}: {value}\r\n" for name, value in shop.headers.items())
    impatient = f"import api.connections; api.connections.GRACE_S = 1.0; {SERVE}"
    with (
        served(service.settings, tmp_path / "log", impatient),
        socket.create_connection(("127.0.0.1", port)) as connection,
    ):
        connection.sendall(f"GET {path}/archive HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
        if goes:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        assert httpx.get(f"{url}{path}", headers=shop.headers, timeout=30).json()["state"] == "completed"
