"""Capacity of the ledger and the queue: simulated devices, real Postgres and Redis.

A simulated device takes shards from the queue as a worker does, leases them and sleeps for the time of a real device.
It finishes them through the product's own lease, heartbeat and finisher. The product's dispatcher runs beside it and
posts the event of every image to a receiver. Postgres syncs each commit, as in production.
Run: ``python -m bench.scale --rate 10 --devices 1 2 4 8 16 32 64``; ``--rate 0`` does not sleep.

With ``--ended 1000000`` each run is made twice, the second time beside so many images that have ended; with
``--pooler`` the second time through PgBouncer. Exit status 1: the second has less than 90 % of the first's images/s.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from enum import IntEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty
from typing import Any

import psycopg
from pydantic import SecretStr
from sqlalchemy import Engine, event, func, select, text

from cleanplate.base.image_records import FileHashes, ImageRecord
from cleanplate.base.masks import FileMask
from cleanplate.base.settings import Settings
from cleanplate.telemetry import logs
from storage.database import Database
from storage.ledger.images.leases import lease_images
from storage.ledger.jobs.submission import submit_job
from storage.ledger.tenants.tenants import ensure_tenant
from storage.ledger.tenants.uploads import create_uploads
from storage.ledger.webhooks.endpoints import create_endpoint
from storage.migrate import migrate
from storage.records import ImageState, NewImage, NewJob, Outcome, Priority, Rights, RightsBasis
from storage.tables import job_deltas, jobs
from tests.crowded import EACH, add_ended_jobs
from tests.servers import PgBouncer, PostgresServer, RedisServer, start_server
from workers.device.images.finisher import Finisher
from workers.device.lease import LeaseHeartbeat, lease_on_images
from workers.leader import dispatcher
from workers.shared.queue import make_celery

TENANT = "bench"
#: Images of ended jobs that are written in one transaction.
ENDED_AT_ONCE = 100_000
#: Smallest share of the images/s beside ended images, or through a pooler.
LEAST_SHARE = 0.9
#: One image in this number fails, so that the outbox carries events of images too.
FAILS = 100
RECORD = ImageRecord(
    method="FFC inpainting (fourier-unet)",
    device="null",
    sha256=FileHashes(source="0" * 64, mask="0" * 64, result="0" * 64),
    seconds={"fetch": 0.01, "decode": 0.02, "network": 0.1, "encode": 0.02, "store": 0.01},
    worker="bench",
)


class Work(IntEnum):
    """The parts of the service whose statements and CPU seconds are counted."""

    DEVICES = 0
    DISPATCHER = 1
    WEBHOOKS = 2


def count_statements(counts: Any, work: Work) -> None:
    """Count the statements of this process; each row of an ``executemany`` counts as one.

    Statements of the dispatcher's webhook threads are counted apart.
    """
    lock = threading.Lock()

    @event.listens_for(Engine, "before_cursor_execute")
    def _note(_c: Any, _cursor: Any, _statement: str, parameters: Any, _context: Any, many: bool) -> None:
        part = Work.WEBHOOKS if threading.current_thread().name in {"webhooks", "post"} else work
        with lock:
            counts[part] += len(parameters) if many else 1


class Receiver:
    """The shop's webhook receiver: counts posts and images, and answers at once."""

    def __init__(self) -> None:
        self.images = self.posts = 0
        receiver = self

        class Post(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = json.loads(self.rfile.read(int(self.headers["content-length"])))
                receiver.posts += 1
                if data["type"].startswith("image."):
                    receiver.images += len(data["data"].get("images", [None]))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Post)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process and its children, including ended ones."""
    total = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, rest = stat.parent.name, stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if pid in (int(number), int(rest[1])):
            ticks = rest[11:13] if int(number) != pid else rest[11:15]
            total += sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    return total


def device(settings: Settings, database: Database, rate: float, stop: Any) -> None:
    """Run one simulated device until ``stop`` is set."""
    celery = make_celery(settings)
    with celery.connection() as connection:
        queue = connection.SimpleQueue(celery.amqp.queues[Priority.BULK.value])
        while not stop.is_set():
            try:
                message = queue.get(timeout=0.2)
            except Empty:
                continue
            ids = message.payload[0][0]
            taken_at = time.monotonic()
            token, leased = lease_images(database, ids, worker="bench", lease_s=settings.lease_s)
            lease = lease_on_images(
                database, token, [i.id for i in leased], lease_s=settings.lease_s, taken_at=taken_at
            )
            with LeaseHeartbeat(lease, settings.heartbeat_s), Finisher(database, lease, max_attempts=3) as finisher:
                due = time.monotonic()
                for image in leased:
                    due += 1 / rate if rate else 0
                    time.sleep(max(due - time.monotonic(), 0))
                    finisher.add(image, outcome(image.id))
            message.ack()
        queue.close()


def outcome(image_id: str) -> Outcome:
    if int(image_id[-4:], 16) % FAILS == 0:
        return Outcome(
            image_id=image_id, state=ImageState.FAILED, error_code="image_truncated", error_detail="It ends early."
        )
    return Outcome(
        image_id=image_id,
        state=ImageState.SUCCEEDED,
        result_key=f"t/bench/{image_id}.jpg",
        content_type="image/jpeg",
        width=1200,
        height=1600,
        tiles_done=3,
        record=RECORD,
    )


def devices(settings: Settings, count: int, rate: float, stop: Any, counts: Any) -> None:
    """Run ``count`` devices in this process."""
    logs.configure(settings)
    count_statements(counts, Work.DEVICES)
    database = Database.connect(settings.sqlalchemy_url)
    threads = [threading.Thread(target=device, args=(settings, database, rate, stop)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    database.close()


def dispatch(settings: Settings, counts: Any) -> None:
    """Run the product's dispatcher with its threads until SIGTERM."""
    logs.configure(settings)
    count_statements(counts, Work.DISPATCHER)
    dispatcher.run(settings)


def submit(database: Database, tenant: str, endpoint: str, count: int) -> None:
    source, mask = create_uploads(
        database, tenant, [("a.jpg", "image/jpeg"), ("mask.png", "image/png")], expires_in_s=9e5
    )
    picture = NewImage(name="a.jpg", source_upload_id=source.id, mask=FileMask(upload_id=mask.id))
    job = NewJob(
        images=[picture] * count,
        rights=Rights(basis=RightsBasis.OWNER, attested_by="bench", reference="bench"),
        webhook_endpoint_id=endpoint,
    )
    submit_job(database, tenant, job)


@dataclass
class Figures:
    """The figures of one run."""

    devices: int
    images_per_s: float
    #: Throughput over the devices' own rate; ``None`` where they do not sleep.
    efficiency: float | None
    #: Statements per image, by the part of the service.
    statements: dict[str, float]
    #: CPU milliseconds per image, by process.
    cpu_ms: dict[str, float]
    wal_bytes: float
    #: Seconds from the devices' stop until the last event was posted.
    drained_s: float
    events: int
    posts: int
    load: float

    @property
    def all_cpu_ms(self) -> float:
        """Of all processes: on a machine with other work the images/s say how busy it is, and this says the cost."""
        return sum(self.cpu_ms.values())

    def line(self) -> str:
        share = "-" if self.efficiency is None else f"{self.efficiency:.3f}"
        by = " ".join(f"{value:.3f}" for value in self.statements.values())
        cpu = " ".join(f"{value:.2f}" for value in self.cpu_ms.values())
        return (
            f"{self.devices:7} {self.images_per_s:9.1f} {share:>10} {sum(self.statements.values()):10.3f} ({by}) "
            f"{cpu:>24} {self.wal_bytes:9.0f} {self.events:7}/{self.posts} {self.drained_s:6.1f} {self.load:5.1f}"
        )


HEAD = (
    "devices  images/s efficiency statements (devices, dispatcher, webhooks)  CPU ms (devices, dispatcher, postgres, "
    "redis)  WAL bytes  events/posts  drained s  load"
)


def measure(
    settings: Settings,
    leading: Settings,
    database: Database,
    servers: dict[str, int],
    *,
    count: int,
    rate: float,
    seconds: float,
) -> Figures:
    """Run ``count`` devices until their pace is even, then measure for ``seconds``; the start-up does not count.

    ``leading``: the dispatcher's settings.
    """
    receiver = Receiver()
    tenant = ensure_tenant(database, TENANT)
    endpoint = create_endpoint(database, tenant, receiver.url, ["job.*", "image.*"])[0].id
    for _ in range(4):
        submit(database, tenant, endpoint, max(int((seconds + 10) * (min(count * rate, 2500) or 2500) / 4), 1024))
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    parts = min(count, 2)
    shares = [count // parts + (n < count % parts) for n in range(parts)]
    counts = [context.RawArray("q", len(Work)) for _ in range(parts + 1)]
    processes = [
        context.Process(target=devices, args=(settings, n, rate, stop, counts[at])) for at, n in enumerate(shares)
    ]
    leader = context.Process(target=dispatch, args=(leading, counts[-1]))
    for process in (*processes, leader):
        process.start()
    own = [process.pid for process in processes]

    def state() -> dict[str, Any]:
        return {
            "at": time.monotonic(),
            "ended": ended(database),
            "wal": wal_bytes(database),
            "statements": [sum(part[work] for part in counts) for work in Work],
            "cpu": [
                sum(cpu_seconds(pid) for pid in own if pid),
                cpu_seconds(leader.pid or 0),
                *map(cpu_seconds, servers.values()),
            ],
        }

    while ended(database) == 0:
        time.sleep(0.1)
    time.sleep(5)  # until the queue depth has settled
    before = state()
    time.sleep(seconds)
    after = state()
    stop.set()
    for process in processes:
        process.join()
    stopped = time.monotonic()
    total = ended(database)
    while receiver.images < total and time.monotonic() < stopped + 60:
        time.sleep(0.1)
    drained = time.monotonic() - stopped
    leader.terminate()
    leader.join()
    receiver.close()
    if receiver.images < total:
        raise SystemExit(f"{receiver.images} of {total} events of ended images were posted within 60 s.")
    images_done = max(after["ended"] - before["ended"], 1)
    throughput = images_done / (after["at"] - before["at"])
    return Figures(
        devices=count,
        images_per_s=throughput,
        efficiency=throughput / (count * rate) if rate else None,
        statements={
            work.name.lower(): (after["statements"][work] - before["statements"][work]) / images_done for work in Work
        },
        cpu_ms={
            name: 1000 * (late - early) / images_done
            for name, early, late in zip(("devices", "dispatcher", *servers), before["cpu"], after["cpu"], strict=True)
        },
        wal_bytes=(after["wal"] - before["wal"]) / images_done,
        drained_s=drained,
        events=receiver.images,
        posts=receiver.posts,
        load=os.getloadavg()[0],
    )


def ended(database: Database) -> int:
    """Number of images that have ended in this run, by the counts of its jobs."""
    mine = select(jobs.c.id).where(jobs.c.tenant_id == ensure_tenant(database, TENANT))
    done = [
        select(func.coalesce(func.sum(table.c.succeeded + table.c.failed), 0)).where(job_id.in_(mine)).scalar_subquery()
        for table, job_id in ((jobs, jobs.c.id), (job_deltas, job_deltas.c.job_id))
    ]
    with database.read() as connection:
        return int(connection.scalar(select(done[0] + done[1])) or 0)


def wal_bytes(database: Database) -> int:
    """Bytes of write-ahead log since the server was created."""
    with database.read() as connection:
        return int(connection.scalar(text("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')")) or 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--rate", type=float, default=10.0, help="images/s of one device; 0: no sleep")
    parser.add_argument(
        "--seconds", type=float, default=32.0, help="length of each measurement; it should span many shards"
    )
    parser.add_argument("--ended", type=int, default=0, help="ended images beside the second of two runs")
    parser.add_argument("--pooler", action="store_true", help="make the second of two runs through PgBouncer")
    parser.add_argument("-o", "--output", type=Path, help="write the figures to this JSON file; other rates in it stay")
    arguments = parser.parse_args()
    logs.configure(Settings(log_level="error"))
    postgres, redis = start_server(lambda: PostgresServer(durable=True)), start_server(RedisServer)
    pooler = start_server(lambda: PgBouncer(postgres, pool_size=20)) if arguments.pooler else None
    figures: list[Figures] = []
    shares: list[float] = []
    print(HEAD)
    try:
        postgres.make_template(migrate)
        for count in arguments.devices:
            pair = []
            for second in (False, True) if arguments.ended or pooler else (False,):
                run = _run(
                    postgres,
                    redis,
                    pooler if second else None,
                    ended=arguments.ended if second else 0,
                    count=count,
                    rate=arguments.rate,
                    seconds=arguments.seconds,
                )
                print(run.line(), flush=True)
                pair.append(run)
            figures.append(pair[0])
            if len(pair) > 1:
                shares.append(pair[1].images_per_s / pair[0].images_per_s)
                cpu = pair[0].all_cpu_ms / pair[1].all_cpu_ms
                print(f"share of the first run's images/s: {shares[-1]:.3f}; by CPU seconds: {cpu:.3f}")
    finally:
        if pooler is not None:
            pooler.close()
        redis.close()
        postgres.close()
    print(f"most: {max(run.images_per_s for run in figures):.0f} images/s")
    if arguments.output:
        kept = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
        kept[f"{arguments.rate:g}"] = [asdict(run) for run in figures]
        arguments.output.write_text(json.dumps(kept, indent=1) + "\n")
    raise SystemExit(any(share < LEAST_SHARE for share in shares))


def _run(
    postgres: PostgresServer,
    redis: RedisServer,
    pooler: PgBouncer | None,
    *,
    ended: int,
    count: int,
    rate: float,
    seconds: float,
) -> Figures:
    """One run on a new database, beside ``ended`` images; devices go through the pooler, where there is one."""
    name = postgres.new_database()
    leading = Settings(
        home=Path(tempfile.mkdtemp()),
        database_url=SecretStr(postgres.url(name)),
        broker_url=SecretStr(redis.new_database()),
        webhook_allow_private=True,
        log_level="error",
    )
    settings = leading
    servers = {"postgres": postgres.pid, "redis": redis.pid}
    if pooler is not None:
        settings = leading.model_copy(update={"database_url": SecretStr(pooler.url(name)), "database_pooler": True})
        servers["pgbouncer"] = pooler.pid
    database = Database.connect(leading.sqlalchemy_url)
    if ended:
        _add_ended(database, postgres.url(name), ended)
    figures = measure(settings, leading, database, servers, count=count, rate=rate, seconds=seconds)
    database.close()
    postgres.drop_database(name)
    return figures


def _add_ended(database: Database, url: str, count: int) -> None:
    tenant = ensure_tenant(database, "kept")
    endpoint = create_endpoint(database, tenant, "https://shop.example", ["*"])[0].id
    step = ENDED_AT_ONCE // EACH
    with psycopg.connect(url, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        for first in range(1, count // EACH + 1, step):
            add_ended_jobs(connection, tenant, endpoint, first=first, last=min(first + step - 1, count // EACH))
        connection.execute("VACUUM (ANALYZE)")


if __name__ == "__main__":
    main()
