"""Each statement of the ledger beside images that have ended: milliseconds, blocks and CPU, on Postgres.

``python -m bench.ledger --rows 10000000`` fills a ledger with ended images: none, a tenth of the number, and all. At
each size it makes the calls of the dispatcher, of workers and of the API, prepared, and measures one. The rows are
written by SQL; beside them there is an ended job of 100,000 images at all sizes. Exit status 1: a bound is missed.

Bounds: no statement of a call reads more than 1,000 blocks, those of its triggers included; the largest of a hot call
grows at most 1.1 times from the middle size on, or by 30 blocks (an index gets a level; Postgres reads a table of few
pages whole), or by two for each of the rows that it locks and then changes; a tick that finds no work costs 3 ms of CPU
at most, and a line of ``/results`` 60 µs; a job's status reads as many blocks for 100,000 images as for 10; 1,000
followers of jobs cost the ledger as many statements as one.
Searches that no index serves are measured without a bound.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from pydantic import SecretStr
from sqlalchemy import event

from api.app import create_app
from api.watching import Watcher
from bench.scale import RECORD, cpu_seconds
from cleanplate.base.settings import Settings
from cleanplate.telemetry import logs
from storage.database import Database
from storage.ledger.images.dispatch import take_shards
from storage.ledger.images.pending_work import pending_work
from storage.ledger.jobs.reading import get_job
from storage.ledger.jobs.watching import Look, look_at
from storage.ledger.retention.deletion import delete_job
from storage.ledger.tenants.sessions import select_valid
from storage.ledger.tenants.tenants import create_key, ensure_tenant
from storage.ledger.webhooks.endpoints import create_endpoint
from storage.migrate import migrate
from storage.records import Caller, Scope
from tests.crowded import (
    EACH,
    HOT,
    JUDGED,
    LARGE,
    LARGE_TABLES,
    RARE,
    REPEATS,
    SEARCHES,
    SMALL,
    Crowded,
    add_ended_jobs,
    add_redone,
    ended_job,
    stop_autovacuum,
)
from tests.running import until
from tests.servers import PostgresServer, start_server
from tests.shop import Shop

#: Bounds: see above.
MOST_GROWTH, MOST_MORE_BLOCKS, MOST_BLOCKS = 1.1, 30, 1000
MOST_TICK_MS, MOST_LINE_US = 3.0, 60.0
#: Rows that a hot call changes, each after two looks at an index, where they are so many.
CHANGED = {"review": JUDGED}
#: Images of the job whose pages and results are read.
OF_LARGE = 100_000
#: Followers of jobs, whose looks are compared with those for one.
FOLLOWERS = 1000
#: Blocks that the status of a large job may read more than that of a small one: the counts are in a row of each.
MOST_MORE_STATUS_BLOCKS = 2
#: Calls that are measured, and jobs that are written in one transaction.
MEASURED, AT_ONCE = 20, 200
DELETE = "delete a job of 500 images"


@dataclass
class Cost:
    """The mean cost of one call."""

    ms: float
    #: Of all its statements, and of the largest.
    blocks: int
    most_blocks: int
    #: CPU of the caller, and of Postgres.
    caller_ms: float
    postgres_ms: float


@dataclass
class SharedLook:
    """What the watcher of an API process asks each second, for all who follow jobs."""

    statements: float
    #: Of this process.
    cpu_ms: float


@dataclass
class Size:
    """The figures at one number of ended images."""

    ended: int
    gigabytes: float
    calls: dict[str, Cost]
    #: CPU of a tick of the dispatcher that finds no work, and of a line of ``/results``.
    tick_ms: float
    line_us: float
    #: Blocks of a job's status, by its images.
    status_blocks: dict[int, int]
    #: A look for all followers of jobs, by their number.
    looks: dict[int, SharedLook]
    #: Seconds of a vacuum after a job was deleted.
    vacuum_s: dict[str, float]


class Bench:
    """One Postgres with a growing ledger."""

    def __init__(self, server: PostgresServer, plans: str) -> None:
        self._server = server
        name = server.new_database()
        self._url = server.url(name)
        self._settings = Settings(database_url=SecretStr(self._url), rate_limit_per_minute=1_000_000, log_level="error")
        self._db = Database.connect(f"{self._url}?options=-cplan_cache_mode%3D{plans}")
        self._connection = psycopg.connect(self._url, autocommit=True, cursor_factory=psycopg.ClientCursor)
        stop_autovacuum(self._connection)
        shop = Shop(self._db, ensure_tenant(self._db, "shop"))
        endpoint, _ = create_endpoint(self._db, shop.tenant, "https://shop.example", ["*"])
        self._endpoint = endpoint.id
        job = shop.submit(1000, webhook=endpoint.id)
        self._crowded = Crowded(shop, job.id, endpoint.id, self._connection)
        self._jobs = 0
        #: Number of the last job that was written to be deleted.
        self._last_deleted = SMALL

    def close(self) -> None:
        self._connection.close()
        self._db.close()

    def grow(self, ended: int) -> None:
        """Write ended jobs until there are ``ended`` images in them; one job is larger than the others."""
        record = json.dumps(RECORD.document())
        if not ended:
            self._add(LARGE, LARGE, OF_LARGE, record)
            add_redone(self._connection, self._crowded.shop.tenant, self._endpoint, of_large=OF_LARGE)
            self._add(SMALL, SMALL, 10, record)
        begun = time.monotonic()
        while self._jobs * EACH < ended:
            last = min(self._jobs + AT_ONCE, -(-ended // EACH))
            self._add(self._jobs + 1, last, EACH, record)
            self._jobs = last
            if self._jobs % 2000 < AT_ONCE:
                print(f"  {self._jobs * EACH:,} images, {time.monotonic() - begun:.0f} s", flush=True)
        self._connection.execute("VACUUM (ANALYZE)")

    def _add(self, first: int, last: int, each: int, record: str) -> None:
        tenant = self._crowded.shop.tenant
        add_ended_jobs(self._connection, tenant, self._endpoint, first=first, last=last, each=each, record=record)

    def measure(self) -> Size:
        calls = {}
        for name, call in (HOT | RARE | SEARCHES).items():
            if name == DELETE:
                continue
            calls[name] = cost = self._cost(lambda call=call: call(self._crowded))
            print(f"  {name:45} {cost.ms:9.2f} ms {cost.blocks:7} blocks, at most {cost.most_blocks}", flush=True)
        calls[DELETE] = self._cost_of_deletion()
        size = self._connection.execute("SELECT pg_database_size(current_database())").fetchone()
        assert size is not None
        return Size(
            ended=self._jobs * EACH + OF_LARGE + OF_LARGE // 50 + 10,
            gigabytes=size[0] / 1e9,
            calls=calls,
            tick_ms=self._tick_ms(),
            line_us=self._line_us(),
            status_blocks={10: self._status_blocks(SMALL), OF_LARGE: self._status_blocks(LARGE)},
            looks={number: self._look_for(number) for number in (1, FOLLOWERS)},
            vacuum_s=self._vacuum_s(),
        )

    def _cost(self, call: Callable[[], object], *, warm: int = REPEATS, measured: int = MEASURED) -> Cost:
        for _ in range(warm):
            call()
        reads = self._crowded.reads(call)
        postgres, caller, begun = cpu_seconds(self._server.pid), time.process_time(), time.perf_counter()
        for _ in range(measured):
            call()
        each_ms = 1000 / measured
        return Cost(
            ms=each_ms * (time.perf_counter() - begun),
            blocks=sum(reads),
            most_blocks=max(reads),
            caller_ms=each_ms * (time.process_time() - caller),
            postgres_ms=each_ms * (cpu_seconds(self._server.pid) - postgres),
        )

    def _cost_of_deletion(self) -> Cost:
        """Of jobs that are written for it, so that the ledger keeps its size."""
        first = self._last_deleted + 1
        self._last_deleted += 10
        self._add(first, self._last_deleted, EACH, json.dumps(RECORD.document()))
        jobs = iter(range(first, self._last_deleted + 1))
        tenant = self._crowded.shop.tenant
        return self._cost(lambda: delete_job(self._db, tenant, ended_job(next(jobs))), warm=4, measured=5)

    def _tick_ms(self) -> float:
        """The reads of a tick of the dispatcher; its queue is as full as it may be."""

        def tick() -> None:
            pending_work(self._db)
            take_shards(self._db, depth=0, shard_size=32, publish_timeout_s=60)

        cost = self._cost(tick, measured=200)
        return cost.caller_ms + cost.postgres_ms

    def _line_us(self) -> float:
        """A line of ``/results``, of a job of ``OF_LARGE`` images, over the API in this process."""
        app = create_app(self._settings)
        stores = app.extensions["cleanplate"]
        key = create_key(stores.database, self._crowded.shop.tenant, "bench")[1]
        client, path = app.test_client(), f"/v1/jobs/{ended_job(LARGE)}/results"
        headers = {"Authorization": f"Bearer {key}"}
        client.get(path, headers=headers)
        begun = time.process_time()
        lines = client.get(path, headers=headers).get_data().count(b"\n")
        seconds = time.process_time() - begun
        stores.close()
        return 1e6 * seconds / lines

    def _status_blocks(self, number: int) -> int:
        tenant = self._crowded.shop.tenant
        return sum(self._crowded.prepared_reads(lambda: get_job(self._db, tenant, ended_job(number))))

    def _look_for(self, followers: int) -> SharedLook:
        """Half of them follow one job, half all of the tenant's; all of them are told at each look."""
        tenant = self._crowded.shop.tenant
        key = create_key(self._db, tenant, "follower")[0]
        caller = Caller(key_id=key.id, tenant_id=tenant, scopes=frozenset({Scope.READ}))
        looks = statements = 0

        def look(named: set[tuple[str, str]], tenants: set[str], made_after: datetime) -> Look:
            nonlocal looks
            looks += 1
            return look_at(self._db, named, tenants, made_after=made_after)

        def count(*_: object) -> None:
            nonlocal statements
            statements += 1

        watcher = Watcher(look, lambda callers: select_valid(self._db, callers), look_s=0.02)
        jobs = (self._crowded.job_id, None)
        event.listen(self._db.engine, "before_cursor_execute", count)
        begun = time.process_time()
        for number in range(followers):
            watcher.subscribe(caller, jobs[number % 2], {})
        until(lambda: looks > MEASURED, "the watcher does not look")
        watcher.stop()
        cpu_s = time.process_time() - begun
        event.remove(self._db.engine, "before_cursor_execute", count)
        return SharedLook(statements=statements / looks, cpu_ms=1000 * cpu_s / looks)

    def _vacuum_s(self) -> dict[str, float]:
        seconds = {}
        for table in LARGE_TABLES:
            begun = time.perf_counter()
            self._connection.execute(f"VACUUM (ANALYZE) {table}".encode())
            seconds[table] = round(time.perf_counter() - begun, 2)
        return seconds


def missed(sizes: list[Size]) -> list[str]:
    """The bounds that the figures miss, in sentences."""
    sentences = []
    for size in sizes:
        at = f"at {size.ended:,}"
        for name, cost in size.calls.items():
            if cost.most_blocks > MOST_BLOCKS and name not in SEARCHES:
                sentences.append(f"{name}: a statement of {cost.most_blocks} blocks {at}")
        if size.tick_ms > MOST_TICK_MS:
            sentences.append(f"a tick: {size.tick_ms:.2f} ms of CPU {at}")
        if size.line_us > MOST_LINE_US:
            sentences.append(f"a line of /results: {size.line_us:.0f} µs of CPU {at}")
        few, many = size.status_blocks.values()
        if many > few + MOST_MORE_STATUS_BLOCKS:
            sentences.append(f"the status of a job of {OF_LARGE:,} images: {many} blocks {at}, of one of 10: {few}")
        one, all_followers = (look.statements for look in size.looks.values())
        if all_followers > one + 1:
            sentences.append(f"{FOLLOWERS} followers: {all_followers:.1f} statements a look {at}, one: {one:.1f}")
    if len(sizes) > 1:
        for name in HOT:
            first, last = sizes[-2].calls[name].most_blocks, sizes[-1].calls[name].most_blocks
            if last > max(MOST_GROWTH * first, first + MOST_MORE_BLOCKS, first + 2 * CHANGED.get(name, 0)):
                sentences.append(f"{name}: from {first} to {last} blocks")
    return sentences


def table(sizes: list[Size]) -> str:
    """The figures as a table of Markdown."""
    heads = [f"{size.ended:,} ended ({size.gigabytes:.1f} GB): ms, blocks, largest, CPU" for size in sizes]
    lines = [f"| call | {' | '.join(heads)} |", "|---" * (len(sizes) + 1) + "|"]
    for name in sizes[0].calls:
        costs = [size.calls[name] for size in sizes]
        cells = (f"{c.ms:.2f}, {c.blocks:,}, {c.most_blocks}, {c.caller_ms + c.postgres_ms:.2f}" for c in costs)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    for title, values in (
        ("a tick that finds no work, CPU ms", [f"{size.tick_ms:.2f}" for size in sizes]),
        ("a line of `/results`, CPU µs", [f"{size.line_us:.0f}" for size in sizes]),
        ("a job's status, blocks: 10 images, 100,000", ["{}, {}".format(*s.status_blocks.values()) for s in sizes]),
        (
            "a look for 1 follower, and for 1,000: statements, CPU ms",
            ["; ".join(f"{k.statements:.1f}, {k.cpu_ms:.1f}" for k in size.looks.values()) for size in sizes],
        ),
        ("vacuum of `images`, s", [f"{size.vacuum_s['images']:.2f}" for size in sizes]),
    ):
        lines.append(f"| {title} | {' | '.join(values)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="ended images at the last size")
    parser.add_argument("--plans", choices=["auto", "force_generic_plan"], default="auto", help="of Postgres")
    parser.add_argument("-o", "--output", type=Path, help="write the figures to this JSON file")
    arguments = parser.parse_args()
    logs.configure(Settings(log_level="error"))
    server = start_server(PostgresServer)
    sizes: list[Size] = []
    try:
        server.make_template(migrate)
        bench = Bench(server, arguments.plans)
        for ended in (0, arguments.rows // 10, arguments.rows):
            print(f"{ended:,} ended images", flush=True)
            bench.grow(ended)
            sizes.append(bench.measure())
            _write(arguments.output, sizes)
        bench.close()
    finally:
        server.close()
    print(table(sizes))
    sentences = missed(sizes)
    print("\n".join(sentences) or "All bounds hold.")
    raise SystemExit(bool(sentences))


def _write(output: Path | None, sizes: list[Size]) -> None:
    if output is not None:
        figures: dict[str, Any] = {"machine": platform.platform(), "sizes": [asdict(size) for size in sizes]}
        output.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
