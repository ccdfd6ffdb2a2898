"""The API's server against slow, greedy and malicious clients."""

from __future__ import annotations

import json
import re
import resource
import shutil
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from api.stores import Stores
from cleanplate.base.settings import Settings
from storage.ledger.tenants.tenants import create_key, ensure_tenant
from tests import patient
from tests.api_process import SERVE, served
from tests.faults.test_killed_processes import children
from tests.running import until
from tests.servers import free_port

#: The server with limits that a test can wait for.
IMPATIENT = (
    "import api.connections; api.connections.HEADER_S = api.connections.GRACE_S = 2.0; api.connections.IDLE_S = 3.0; "
)


@dataclass
class Api:
    settings: Settings
    key: str
    log: Path
    pid: int = 0

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.settings.port), timeout=60)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def exchange(self, *pieces: bytes) -> bytes:
        """Send these bytes; everything that the server sends until it closes the connection."""
        with self.connect() as connection:
            for piece in pieces:
                connection.sendall(piece)
            return read_all(connection)

    def get(self, path: str) -> int:
        answer = patient.get(self.settings.public_url + path, headers={"Authorization": f"Bearer {self.key}"})
        return answer.status_code


def answers_in(received: bytes) -> int:
    return len(re.findall(rb"HTTP/1\.[01] \d{3} ", received))


def read_all(connection: socket.socket) -> bytes:
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except ConnectionError:
        pass
    return received


def settings_for(ledger: Path, home: Path) -> Settings:
    shutil.copy(ledger, home / "ledger.sqlite3")
    port = free_port()
    return Settings(
        home=home, port=port, public_url=f"http://127.0.0.1:{port}", api_workers=1, api_threads=2, api_streams=1
    )


def key_in(settings: Settings) -> str:
    stores = Stores(settings)
    with closing(stores):
        return create_key(stores.database, ensure_tenant(stores.database, "shop"), "test")[1]


@pytest.fixture(scope="module")
def impatient(_sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    settings = settings_for(_sqlite_template, tmp_path_factory.mktemp("home"))
    log = settings.home / "log"
    api = Api(settings, key_in(settings), log)
    with served(settings, log, IMPATIENT + SERVE):
        yield api


@pytest.fixture(scope="module")
def api(_sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    settings = settings_for(_sqlite_template, tmp_path_factory.mktemp("home"))
    log = settings.home / "log"
    api = Api(settings, key_in(settings), log)
    with served(settings, log) as process:
        api.pid = process.pid
        yield api


SLOW = {
    "header": b"POST /login HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    "body": b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nkey=",
    "chunk": b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
}


def test_five_hundred_slow_clients_hold_up_nobody(api: Api) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(api.connect()) for _ in range(500)]
        for number, connection in enumerate(slow):
            connection.sendall([*SLOW.values()][number % len(SLOW)])
        assert api.get("/healthz") == 200
        assert api.get("/v1/jobs") == 200
        for connection in slow:
            connection.sendall(b"x")
        assert api.get("/healthz") == 200
        assert api.get("/v1/jobs") == 200


@pytest.mark.parametrize("slow", SLOW.values(), ids=SLOW)
def test_a_client_below_the_slowest_rate_is_cut_off(impatient: Api, slow: bytes) -> None:
    assert b"HTTP/1.1 200" not in impatient.exchange(slow)


def test_a_client_that_sends_nothing_is_cut_off(impatient: Api) -> None:
    assert impatient.exchange() == b""


def test_an_idle_connection_serves_the_next_request(impatient: Api) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    assert impatient.exchange(request, request).count(b"HTTP/1.1 200") == 2


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("POST /v1/jobs", b"401"),
        ("POST /v1/jobs HTTP/1.1\r\nAuthorization: Bearer cp_unknown", b"401"),
        ("PUT /blobs/forged", b"403"),
        ("POST /login", b"403"),
        ("POST /nowhere", b"404"),
    ],
)
def test_a_stranger_is_answered_before_a_large_body_is_sent(api: Api, head: str, status: bytes) -> None:
    line, _, header = head.partition(" HTTP/1.1\r\n")
    lines = [
        f"{line} HTTP/1.1",
        "Host: x",
        "Expect: 100-continue",
        "Content-Length: 60000000",
        *filter(None, [header]),
        "",
        "",
    ]
    answer = api.exchange("\r\n".join(lines).encode())
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"100 Continue" not in answer


def test_a_stranger_who_sends_a_large_body_all_the_same_sees_the_answer(api: Api) -> None:
    answer = patient.post(f"{api.settings.public_url}/v1/jobs", content=iter([b"x" * 1_000_000] * 20))
    assert answer.json()["code"] == "key_missing"
    assert answer.headers["Connection"] == "close"


def test_a_body_over_the_limit_of_its_caller_is_not_read(api: Api) -> None:
    headers = {"Authorization": f"Bearer {api.key}", "Content-Type": "application/json", "Expect": "100-continue"}
    request = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    answer = api.exchange(f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: {1 << 40}\r\n{request}\r\n".encode())
    assert b"request_too_large" in answer
    assert b"100 Continue" not in answer


def test_a_caller_continues_with_a_large_body(api: Api) -> None:
    headers = f"Authorization: Bearer {api.key}\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
    head = f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\nConnection: close\r\n{headers}\r\n"
    with api.connect() as connection:
        connection.sendall(head.encode())
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b" " * 100_000)
        assert b"json_invalid" in read_all(connection)


def test_health_is_answered_and_others_are_told_to_come_back_while_all_places_are_taken(api: Api) -> None:
    auth = {"Authorization": f"Bearer {api.key}"}
    wanted = {"files": [{"filename": "a.png", "content_type": "image/png"}]}
    url = api.settings.public_url
    answers: list[int] = []

    def upload() -> None:
        answers.append(patient.post(f"{url}/v1/uploads", json=wanted, headers=auth).status_code)

    with closing(sqlite3.connect(api.settings.home / "ledger.sqlite3", isolation_level=None)) as ledger:
        ledger.execute("BEGIN IMMEDIATE")
        writers = [threading.Thread(target=upload) for _ in range(2)]
        for writer in writers:
            writer.start()
        busy = until(lambda: refusal(f"{url}/login"), "a request found a place")
        assert busy.json()["code"] == "service_busy"
        assert int(busy.headers["Retry-After"]) > 0
        assert api.get("/healthz") == 200
        assert api.get("/readyz") == 200
        ledger.execute("ROLLBACK")
    for writer in writers:
        writer.join()
    assert answers == [201, 201]


def refusal(url: str) -> httpx.Response | None:
    answer = patient.get(url)
    return answer if answer.status_code == 503 else None


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD = b"POST /login HTTP/1.1\r\nHost: x\r\n"
AMBIGUOUS = {
    "both lengths": HEAD + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "two lengths": HEAD + b"Content-Length: 0\r\nContent-Length: 36\r\n\r\n" + SMUGGLED,
    "two equal lengths": HEAD + b"Content-Length: 36\r\nContent-Length: 36\r\n\r\n" + SMUGGLED,
    "list of lengths": HEAD + b"Content-Length: 0, 36\r\n\r\n" + SMUGGLED,
    "signed length": HEAD + b"Content-Length: +36\r\n\r\n" + SMUGGLED,
    "negative length": HEAD + b"Content-Length: -1\r\n\r\n" + SMUGGLED,
    "hexadecimal length": HEAD + b"Content-Length: 0x24\r\n\r\n" + SMUGGLED,
    "length with underscore": HEAD + b"Content-Length: 3_6\r\n\r\n" + SMUGGLED,
    "blank before the colon": HEAD + b"Content-Length : 36\r\n\r\n" + SMUGGLED,
    "folded": HEAD + b"X-Folded: a\r\n Content-Length: 36\r\n\r\n" + SMUGGLED,
    "unknown coding": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "coding not last": HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "two codings": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "coding behind a control character": HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "coding in HTTP/1.0": b"POST /login HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "bare line feed": HEAD + b"X: a\nContent-Length: 36\r\n\r\n" + SMUGGLED,
    "bare carriage return": HEAD + b"X: a\rContent-Length: 36\r\n\r\n" + SMUGGLED,
    "zero byte": HEAD + b"X: a\x00b\r\n\r\n" + SMUGGLED,
    "signed chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n" + SMUGGLED,
    "hexadecimal chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n" + SMUGGLED,
    "chunk without its end": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n" + SMUGGLED,
    "endless chunk line": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 1000,
    "two hosts": b"GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n" + SMUGGLED,
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n" + SMUGGLED,
    "two keys": b"GET /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n" + SMUGGLED,
    "lower method": b"get /healthz HTTP/1.1\r\nHost: x\r\n\r\n" + SMUGGLED,
    "HTTP/2.0": b"GET /healthz HTTP/2.0\r\nHost: x\r\n\r\n" + SMUGGLED,
    "HTTP/0.9": b"GET /healthz\r\n\r\n" + SMUGGLED,
    "tab in the first line": b"GET\t/healthz HTTP/1.1\r\nHost: x\r\n\r\n" + SMUGGLED,
    "long header": HEAD + b"X: " + b"a" * 40_000 + b"\r\n\r\n" + SMUGGLED,
    "header without a colon": HEAD + b"nonsense\r\n\r\n" + SMUGGLED,
}


@pytest.mark.parametrize("request_bytes", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_a_request_that_a_proxy_could_read_in_another_way_is_refused_and_ends_the_connection(
    api: Api, request_bytes: bytes
) -> None:
    answer = api.exchange(request_bytes)
    assert answers_in(answer) == 1
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b" ", 2)[1] == b"400", answer
    assert json.loads(body)["code"] == "request_invalid"
    assert b"connection: close" in head.lower()


def test_a_body_is_no_second_request(api: Api) -> None:
    length = f"Content-Length: {len(SMUGGLED)}\r\nConnection: close\r\n\r\n".encode()
    chunked = b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (
        len(SMUGGLED),
        SMUGGLED,
    )
    for request in (HEAD + length + SMUGGLED, HEAD + chunked):
        assert answers_in(api.exchange(request)) == 1


def test_requests_in_one_piece_are_answered_in_their_order(api: Api) -> None:
    requests = [
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ]
    answer = api.exchange(b"".join(requests))
    assert answer.index(b"HTTP/1.1 200") < answer.index(b"HTTP/1.1 404")


def test_a_full_disk_is_told_as_such(api: Api) -> None:
    stores = Stores(api.settings)
    with closing(stores):
        link = stores.blobs.presigned_put("t/tnt_1/uploads/upl_1", content_type="image/png", expires_s=600)
    [worker] = children(api.pid)
    before = resource.prlimit(worker, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    try:
        # The second does not even fit into the server's own copy of the body.
        answers = [patient.put(link.url, headers=link.headers, content=b"x" * size) for size in (60_000, 250_000)]
    finally:
        resource.prlimit(worker, resource.RLIMIT_FSIZE, before)
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(507, "storage_full")] * 2
    assert patient.put(link.url, headers=link.headers, content=b"x" * 250_000).status_code == 204
