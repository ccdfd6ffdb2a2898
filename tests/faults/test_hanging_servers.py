"""Servers that hang, drip or cut instead of dying: health is answered, what can work works, and it recovers by itself.

A server is stopped by SIGSTOP: its kernel goes on to accept connections and to acknowledge bytes.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import redis
from pydantic import SecretStr
from sqlalchemy import select

from cleanplate.base.settings import Settings
from storage.blobs import S3Blobs, open_blobs
from storage.database import Database
from storage.engine import open_engine
from storage.errors import BlobStoreUnavailable, LedgerUnavailable
from storage.ledger.images.finish import finish_images
from storage.ledger.images.leases import lease_images
from storage.ledger.images.reaper import close_jobs
from storage.ledger.tenants.tenants import create_key, ensure_tenant
from storage.records import ImageState, Outcome
from tests import patient
from tests.api_process import served
from tests.faults.resolver import Answer, Resolver, resolver_in
from tests.faults.tcp_proxy import TcpProxy, Way, tcp_proxy
from tests.running import children, until
from tests.servers import PostgresServer, RedisServer, S3Server, Server, free_port
from tests.shop import Shop


def family(pid: int) -> list[int]:
    return [pid, *(each for child in children(pid) for each in family(child))]


@contextmanager
def frozen(server: Server) -> Iterator[None]:
    """Stop all processes of a server during the block."""
    stopped = family(server.pid)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in reversed(stopped):
            os.kill(pid, signal.SIGCONT)


@dataclass
class Api:
    """The API on real servers, each behind a proxy."""

    settings: Settings
    key: str
    job: str
    postgres: TcpProxy
    s3: TcpProxy
    resolver: Resolver
    log: Path

    def get(self, path: str) -> httpx.Response:
        return patient.get(self.settings.public_url + path, headers={"Authorization": f"Bearer {self.key}"})

    def status(self, path: str) -> int:
        return self.get(path).status_code

    def assert_well(self) -> None:
        """Everything works again by itself."""
        until(lambda: self.status("/readyz") == 200, lambda: f"not ready again\n{self.log.read_text()[-3000:]}")
        until(lambda: self.status("/v1/jobs") == 200, lambda: f"no jobs\n{self.log.read_text()[-3000:]}")
        until(self.whole_archive, lambda: f"no archive\n{self.log.read_text()[-3000:]}")

    def whole_archive(self) -> bool:
        try:
            answer = self.get(f"/v1/jobs/{self.job}/archive")
        except httpx.TransportError:
            return False
        return answer.status_code == 200 and b"clean 0" in answer.content


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


@pytest.fixture(scope="module")
def api(
    postgres_server: PostgresServer,
    redis_server: RedisServer,
    s3_server: S3Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Api]:
    home = tmp_path_factory.mktemp("home")
    database = postgres_server.new_database()
    url, endpoint, port = postgres_server.url(database), s3_server.endpoint_url, free_port()
    names = tmp_path_factory.mktemp("names")
    with ExitStack() as stack:
        resolver = stack.enter_context(resolver_in(names))
        postgres = stack.enter_context(tcp_proxy("127.0.0.1", port_of(url)))
        s3 = stack.enter_context(tcp_proxy("127.0.0.1", port_of(endpoint)))
        settings = Settings(
            home=home,
            port=port,
            public_url=f"http://127.0.0.1:{port}",
            api_workers=1,
            api_downloads=2,
            database_url=SecretStr(url.replace(f":{port_of(url)}/", f":{postgres.port}/")),
            broker_url=SecretStr(redis_server.new_database()),
            blobs_url=f"s3://test-{secrets.token_hex(8)}",
            s3_endpoint_url=f"http://127.0.0.1:{s3.port}",
            s3_access_key_id=SecretStr(s3_server.access_key_id),
            s3_secret_access_key=SecretStr(s3_server.secret_access_key),
        )
        blobs = open_blobs(settings)
        assert isinstance(blobs, S3Blobs)
        blobs.ensure_bucket()
        db = Database.connect(settings.sqlalchemy_url)
        tenant = ensure_tenant(db, "shop")
        key = create_key(db, tenant, "test")[1]
        shop = Shop(db, tenant)
        job = shop.submit(3)
        ids = shop.image_ids(job.id)
        token, _ = lease_images(db, ids, worker="w", lease_s=600)
        for number, image in enumerate(ids):
            result = f"t/{tenant}/jobs/{job.id}/results/{image}.png"
            blobs.put(result, b"clean %d" % number, content_type="image/png")
            outcome = Outcome(image_id=image, state=ImageState.SUCCEEDED, result_key=result)
            finish_images(db, token, [outcome], max_attempts=1)
        close_jobs(db)
        db.close()
        api = Api(settings, key, job.id, postgres, s3, resolver, home / "log")
        by_name = {
            "s3_endpoint_url": f"http://s3.test:{s3.port}",
            "broker_url": SecretStr(settings.broker_url.get_secret_value().replace("127.0.0.1", "redis.test")),
        }
        stack.enter_context(served(settings.model_copy(update=by_name), api.log))
        api.assert_well()
        yield api
    postgres_server.drop_database(database)


def test_a_frozen_redis_costs_no_answer(api: Api, redis_server: RedisServer) -> None:
    with frozen(redis_server), ThreadPoolExecutor(20) as pool:
        assert set(pool.map(api.status, ["/v1/jobs"] * 40)) == {200}
        assert api.status("/healthz") == 200
        # Not at the first look: a busy machine may take longer to reach the other servers than the look does.
        until(lambda: api.status("/readyz") == 200, "it is not ready without Redis")
    api.assert_well()


def test_a_frozen_object_store_stops_only_what_needs_it(api: Api, s3_server: S3Server) -> None:
    address = ("127.0.0.1", api.settings.port)
    ask = f"GET /v1/jobs/{api.job}/archive HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.key}\r\n\r\n".encode()
    with frozen(s3_server):
        for _ in range(17):
            with socket.create_connection(address) as impatient:
                impatient.sendall(ask)
        assert api.status("/healthz") == 200
        answer = api.get("/readyz")
        assert answer.status_code == 503
        assert "object store does not answer" in answer.json()["detail"]
        assert api.status("/v1/jobs") == 200
        assert not api.whole_archive()
        until(lambda: knows_at_once(api), "the breaker did not open")
        assert api.status("/v1/jobs") == 200
    api.assert_well()


def knows_at_once(api: Api) -> bool:
    """Whether the answer comes from the breaker and not from the object store's silence."""
    return "cannot be reached" in api.get("/readyz").json()["detail"]


@pytest.mark.parametrize("answer", [Answer.HANGS, Answer.FAILS])
def test_a_resolver_in_trouble_stops_only_what_needs_a_name(
    api: Api, redis_server: RedisServer, answer: Answer
) -> None:
    api.resolver.answer(answer)
    try:
        with redis.Redis.from_url(api.settings.broker_url.get_secret_value()) as client:
            client.client_kill_filter(_type="normal", skipme=True)
        api.s3.way = Way.CUT
        until(lambda: api.status("/readyz") == 503, "the object store was found without its name")
        api.s3.way = Way.OPEN
        assert api.status("/healthz") == 200
        with ThreadPoolExecutor(20) as pool:
            assert set(pool.map(api.status, ["/v1/jobs"] * 20)) == {200}
        assert not api.whole_archive()
        assert api.status("/healthz") == 200
    finally:
        api.s3.way = Way.OPEN
        api.resolver.answer(Answer.ANSWERS)
    api.assert_well()


def test_a_frozen_ledger_is_told_and_answers_end(api: Api, postgres_server: PostgresServer) -> None:
    with frozen(postgres_server):
        assert api.status("/healthz") == 200
        with ThreadPoolExecutor(10) as pool:
            answers = list(pool.map(api.get, ["/v1/jobs"] * 10))
        assert {answer.status_code for answer in answers} == {503}
        assert all(int(answer.headers["Retry-After"]) > 0 for answer in answers)
        assert api.status("/readyz") == 503
        assert api.status("/healthz") == 200
    api.assert_well()


def test_a_statement_at_a_frozen_postgres_ends_within_its_limit(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    db = Database(open_engine(Settings(database_url=SecretStr(postgres_url)).sqlalchemy_url, answer_s=1.0), None)
    with pytest.raises(LedgerUnavailable, match="no answer within 1 s"), db.read() as connection:
        connection.execute(select(1))
        with frozen(postgres_server):
            connection.execute(select(1))
    db.check()
    with frozen(postgres_server), pytest.raises(LedgerUnavailable):
        db.check()  # of the connection in the pool, and of a new one
    db.check()
    db.close()


@pytest.mark.parametrize("way", [Way.FROZEN, Way.DRIPPING, Way.CUT], ids=lambda way: str(way.value))
@pytest.mark.parametrize("server", ["postgres", "s3"])
def test_a_connection_in_trouble_leaves_health_and_heals(api: Api, server: str, way: Way) -> None:
    proxy: TcpProxy = getattr(api, server)
    proxy.way = way
    try:
        assert api.status("/healthz") == 200
        assert api.get("/readyz").status_code == 503
        assert api.status("/v1/jobs") in ({200} if server == "s3" else {200, 503})
    finally:
        proxy.way = Way.OPEN
    api.assert_well()


CALLS: dict[str, Callable[[S3Blobs], object]] = {
    "put": lambda blobs: blobs.put("a", b"x" * 300_000, content_type="image/png"),
    "get": lambda blobs: blobs.get("a"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("answer", [b"HTTP/1.1 100 Continue\r\nX: y", b"HTTP/1.1 200 OK\r\nX", b"HTTP/1.1 200 O"])
@pytest.mark.parametrize("end", ["cut", "drip"])
def test_no_answer_of_a_broken_object_store_holds_a_call(
    monkeypatch: pytest.MonkeyPatch, call: Callable[[S3Blobs], object], answer: bytes, end: str
) -> None:
    monkeypatch.setattr("storage.blobs.s3_deadline.CALL_S", 1.0)
    with broken_server(answer, drips=end == "drip") as port:
        blobs = S3Blobs(
            bucket="b", endpoint_url=f"http://127.0.0.1:{port}", access_key_id="k", secret_access_key="s", timeout_s=2.0
        )
        with pytest.raises(BlobStoreUnavailable):
            call(blobs)


@contextmanager
def broken_server(answer: bytes, *, drips: bool) -> Iterator[int]:
    """A server that answers each connection with these bytes, and then ends it or sends single bytes for ever."""
    listener, stopped = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def serve(connection: socket.socket) -> None:
        with connection:
            connection.settimeout(0.2)
            try:
                connection.recv(65536)
                connection.sendall(answer)
                while drips and not stopped.is_set():
                    connection.sendall(b"z")
                    time.sleep(0.1)
            except OSError:  # the client gave up
                return

    def accept() -> None:
        while not stopped.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:  # the listener is closed
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield listener.getsockname()[1]
    finally:
        stopped.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join()
