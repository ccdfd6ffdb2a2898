"""The API as processes: imports, resources after a fork, start and stop."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from api.stores import Stores
from cleanplate.base.settings import Settings
from storage.ledger.tenants.tenants import create_key, ensure_tenant
from tests import patient
from tests.api_process import SERVE, SERVE_AND_PRINT, served
from tests.running import clean_environment, until
from tests.servers import free_port
from tests.shop import Shop


@pytest.fixture
def served_settings(embedded_settings: Settings) -> Settings:
    port = free_port()
    return embedded_settings.model_copy(
        update={"port": port, "public_url": f"http://127.0.0.1:{port}", "max_image_bytes": 300_000}
    )


def test_the_api_loads_neither_torch_nor_celery() -> None:
    program = (
        "import sys; from cleanplate.base.settings import Settings; from api.app import create_app; import api.server;"
        "create_app(Settings()).test_client().get('/docs');"
        "print([name for name in ('torch', 'celery', 'kombu', 'workers', 'cv2') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_the_server_answers_and_stops(served_settings: Settings, tmp_path: Path, stop: signal.Signals) -> None:
    log = tmp_path / "log"
    with served(served_settings, log, SERVE_AND_PRINT) as process:
        process.send_signal(stop)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert said == "ended 0\n"
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert any(event["event"] == "request" and event["route"] == "/healthz" for event in events)


def test_an_open_request_is_answered_before_the_server_stops(served_settings: Settings, tmp_path: Path) -> None:
    stores = Stores(served_settings)
    link = stores.blobs.presigned_put("t/tnt_1/uploads/upl_1", content_type="image/png", expires_s=60)
    stores.close()
    with served(served_settings, tmp_path / "log") as process:

        def body() -> Iterator[bytes]:
            yield b"x" * 100_000
            process.terminate()
            until(
                lambda: "Handling signal: term" in (tmp_path / "log").read_text(), "the server did not take the signal"
            )
            yield b"y" * 100_000

        answer = patient.put(link.url, headers={**link.headers, "Content-Length": "200000"}, content=body())
        assert answer.status_code == 204
        assert process.wait(60) == 0
    assert stores.blobs.get("t/tnt_1/uploads/upl_1") == b"x" * 100_000 + b"y" * 100_000


def test_a_body_over_the_limit_gets_its_answer(served_settings: Settings, tmp_path: Path) -> None:
    stores = Stores(served_settings)
    link = stores.blobs.presigned_put("t/tnt_1/uploads/upl_1", content_type="image/png", expires_s=60)
    with served(served_settings, tmp_path / "log"):
        for content in (b"x" * 5_000_000, iter([b"x" * 1_000_000] * 5)):
            answer = patient.put(link.url, headers=link.headers, content=content)
            assert answer.status_code == 413
            assert answer.json()["code"] == "image_too_large"


def test_a_port_that_is_taken_ends_the_server_with_an_error(served_settings: Settings, tmp_path: Path) -> None:
    with served(served_settings, tmp_path / "log"):
        second = subprocess.run(
            [sys.executable, "-c", SERVE],
            env=clean_environment(served_settings.environment()),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert second.returncode == 1
    assert "in use" in second.stderr


def test_the_log_of_the_server_holds_no_key_and_no_token(served_settings: Settings, tmp_path: Path) -> None:
    stores = Stores(served_settings)
    _, key = create_key(stores.database, ensure_tenant(stores.database, "shop"), "test")
    token = stores.blobs.presigned_get("t/tnt_1/x", filename="x", expires_s=60).url.rpartition("/")[2]
    stores.close()
    log = tmp_path / "log"
    with served(served_settings, log) as process:
        with patient.client(base_url=served_settings.public_url, headers={"Authorization": f"Bearer {key}"}) as client:
            assert client.get(f"/v1/jobs?limit=5&key={key}").status_code == 422
            assert client.get(f"/blobs/{token}?x={key}").status_code == 404
            assert client.get(f"/nope/{token}").status_code == 404
        process.terminate()
        assert process.wait(60) == 0
    assert log.read_text().count('"event": "request"') >= 4
    assert key not in log.read_text()
    assert token not in log.read_text()


def test_a_forked_process_opens_stores_of_its_own(embedded_settings: Settings) -> None:
    stores = Stores(embedded_settings)
    stores.database.check()
    engine = id(stores.database.engine)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            fresh = id(stores.database.engine) != engine
            stores.database.check()
            os.write(write, b"fresh" if fresh else b"shared")
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read() == b"fresh"
    os.waitpid(child, 0)
    assert id(stores.database.engine) == engine
    stores.close()


def test_two_hundred_streams_leave_room_for_requests_and_end_with_the_server(
    served_settings: Settings, tmp_path: Path
) -> None:
    stores = Stores(served_settings)
    tenant = ensure_tenant(stores.database, "shop")
    _, key = create_key(stores.database, tenant, "test")
    job = Shop(stores.database, tenant).submit()
    stores.close()
    ask = f"GET /v1/jobs/{job.id}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
    with served(served_settings, tmp_path / "log") as process, ExitStack() as open_streams:
        streams = []
        for _ in range(200):
            stream = open_streams.enter_context(socket.create_connection((served_settings.host, served_settings.port)))
            stream.settimeout(60)
            stream.sendall(ask)
            streams.append(stream)
        for stream in streams:
            read = b""
            while b"event: progress" not in read:
                piece = stream.recv(4096)
                assert piece, read
                read += piece
        with patient.client(base_url=served_settings.public_url, headers={"Authorization": f"Bearer {key}"}) as client:
            for _ in range(20):
                assert client.get(f"/v1/jobs/{job.id}").status_code == 200
        process.terminate()
        assert process.wait(25) == 0  # sooner than the grace for requests
        for stream in streams:
            while stream.recv(4096):
                pass
    assert "Traceback" not in (tmp_path / "log").read_text()
