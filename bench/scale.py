"""How far the ledger and the queue carry: simulated devices, real Postgres and Redis.

A device here is a null engine: it takes shards from the queue as a worker does, leases them, sleeps the time a device
would take for each image, and finishes them by the product's own lease, heartbeat and finisher. Dispatcher and outbox
run beside it. Run: ``python -m bench.scale --rate 10 --devices 1 2 4 8 16 32 64``; ``--rate 0`` does not sleep.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import threading
import time
from pathlib import Path
from queue import Empty
from typing import Any

from pydantic import SecretStr
from sqlalchemy import event, func, select, text

from cleanplate import logs
from cleanplate.settings import Settings
from storage.database import Database
from storage.ledger.jobs import create_uploads, submit_job
from storage.ledger.leases import lease_images
from storage.ledger.tenants import ensure_tenant
from storage.ledger.webhooks import create_endpoint
from storage.migrate import migrate
from storage.records import ImageState, NewImage, NewJob, Outcome, Priority, Rights, RightsBasis
from storage.tables import images, webhook_deliveries
from tests.servers import PostgresServer, RedisServer, started
from workers.dispatcher import Dispatcher
from workers.finishing import Finisher
from workers.lease import Heartbeat, Lease
from workers.queue import make_celery

#: One image in so many fails, so that the outbox has something to do beside the jobs' ends.
FAILS = 100
RECORD = {
    "method": "FFC inpainting (fourier-unet)",
    "device": "null",
    "sha256": {"source": "0" * 64, "mask": "0" * 64, "result": "0" * 64},
    "seconds": {"fetch": 0.01, "decode": 0.02, "network": 0.1, "encode": 0.02, "store": 0.01},
    "worker": "bench",
}


class Statements:
    """Counts what goes to the database; rows of an ``executemany`` count as statements each."""

    def __init__(self, database: Database) -> None:
        self.count = 0
        event.listen(database.engine, "before_cursor_execute", self._note)

    def _note(self, _c: Any, _cursor: Any, _statement: str, parameters: Any, _context: Any, many: bool) -> None:
        self.count += len(parameters) if many else 1


def device(settings: Settings, database: Database, rate: float, stop: Any) -> None:
    """One simulated device, until ``stop``."""
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
            lease = Lease(database, token, [i.id for i in leased], lease_s=settings.lease_s, taken_at=taken_at)
            with Heartbeat(lease, settings.heartbeat_s), Finisher(database, lease, max_attempts=3) as finisher:
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


def devices(settings: Settings, count: int, rate: float, stop: Any, statements: Any) -> None:
    """A process with so many devices."""
    logs.configure(settings)
    database = Database.connect(settings.sqlalchemy_url)
    counted = Statements(database)
    threads = [threading.Thread(target=device, args=(settings, database, rate, stop)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with statements.get_lock():
        statements.value += counted.count
    database.close()


def dispatch(settings: Settings, stop: Any, statements: Any) -> None:
    """The dispatcher's process."""
    logs.configure(settings)
    database = Database.connect(settings.sqlalchemy_url)
    counted = Statements(database)
    celery = make_celery(settings)
    dispatcher = Dispatcher(database, celery, settings)
    while not stop.is_set():
        dispatcher.tick()
        stop.wait(settings.dispatch_interval_s)
    with statements.get_lock():
        statements.value += counted.count
    database.close()


def submit(database: Database, tenant: str, endpoint: str, count: int) -> None:
    source, mask = create_uploads(
        database, tenant, [("a.jpg", "image/jpeg"), ("mask.png", "image/png")], expires_in_s=9e5
    )
    picture = NewImage(name="a.jpg", source_upload_id=source.id, mask_upload_id=mask.id)
    job = NewJob(
        images=[picture] * count,
        mask_upload_id=None,
        options={},
        rights=Rights(basis=RightsBasis.OWNER, attested_by="bench", reference="bench"),
        webhook_endpoint_id=endpoint,
    )
    submit_job(database, tenant, job)


def measure(settings: Settings, database: Database, count: int, rate: float, seconds: float) -> tuple[Any, ...]:
    """Images/s, share of what the devices could do, statements and bytes of WAL per image, events written."""
    tenant = ensure_tenant(database, "bench")
    endpoint = create_endpoint(database, tenant, "https://shop.example/hook")[0].id
    for _ in range(4):
        submit(database, tenant, endpoint, max(int(1.3 * seconds * (min(count * rate, 4000) or 4000) / 4), 256))
    context = multiprocessing.get_context("spawn")
    stop, statements = context.Event(), context.Value("q", 0)
    parts = min(count, 2)
    shares = [count // parts + (n < count % parts) for n in range(parts)]
    processes = [context.Process(target=devices, args=(settings, n, rate, stop, statements)) for n in shares]
    processes.append(context.Process(target=dispatch, args=(settings, stop, statements)))
    for process in processes:
        process.start()
    while ended(database) == 0:
        time.sleep(0.1)
    time.sleep(3)  # the queue gets as deep as its pace asks
    first, wal, begun = ended(database), written(database), time.monotonic()
    time.sleep(seconds)
    last, wal, spent = ended(database), written(database) - wal, time.monotonic() - begun
    stop.set()
    for process in processes:
        process.join()
    throughput = (last - first) / spent
    with database.read() as connection:
        events = connection.scalar(select(func.count()).select_from(webhook_deliveries))
    efficiency = throughput / (count * rate) if rate else None
    return throughput, efficiency, statements.value / ended(database), wal / max(last - first, 1), events


def ended(database: Database) -> int:
    with database.read() as connection:
        return int(connection.scalar(select(func.count()).where(images.c.finished_at.is_not(None))) or 0)


def written(database: Database) -> int:
    """Bytes of write-ahead log since the beginning."""
    with database.read() as connection:
        return int(connection.scalar(text("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')")) or 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--rate", type=float, default=10.0, help="images/s of a device; 0: does not sleep")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of each measurement")
    arguments = parser.parse_args()
    postgres, redis = started(PostgresServer), started(RedisServer)
    best = 0.0
    print("devices  images/s  efficiency  statements/image  WAL bytes/image  events")
    try:
        postgres.make_template(migrate)
        for count in arguments.devices:
            name = postgres.new_database()
            settings = Settings(
                home=Path(tempfile.mkdtemp()),
                database_url=SecretStr(postgres.url(name)),
                broker_url=SecretStr(redis.new_database()),
                log_level="error",
            )
            database = Database.connect(settings.sqlalchemy_url)
            rate, share, statements, nbytes, events = measure(
                settings, database, count, arguments.rate, arguments.seconds
            )
            database.close()
            postgres.drop_database(name)
            best = max(best, rate)
            told = "-" if share is None else f"{share:.3f}"
            print(f"{count:7} {rate:9.1f} {told:>11} {statements:17.3f} {nbytes:16.0f} {events:7}", flush=True)
    finally:
        redis.close()
        postgres.close()
    print(f"most: {best:.0f} images/s")


if __name__ == "__main__":
    main()
