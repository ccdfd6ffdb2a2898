"""Random kills, freezes, cuts and losses, as long as asked: ``python -m tests.faults.soak --seed 7 --images 5000``.

The soak kills null workers and the dispatcher with ``kill -9`` while they run jobs on a real Postgres and Redis, stops
them for up to longer than a lease, cuts their connections, and empties Redis; at the end all accounts must balance.
With ``--coders`` the workers' coders are among the victims; a picture at which two of them die fails, as in the
service. The soak prints the time after which images of dead workers were queued again and leased again, and the longest
time without an image that ended, which is that of any loss.
Few kills show the cost of one death. With one kill for every 25 images, most images of the run belong to dead workers:
each travels alone and waits for the others, and a dispatcher that was stopped for long waits for heartbeats before it
reaps.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import redis
from pydantic import SecretStr
from sqlalchemy import func, select, text

from cleanplate.base.masks import FileMask
from cleanplate.base.settings import Settings
from cleanplate.telemetry import logs
from storage.blobs import open_blobs
from storage.blobs.base import Blobs
from storage.database import Database
from storage.errors import LedgerUnavailable
from storage.ledger.jobs.submission import submit_job
from storage.ledger.tenants.tenants import ensure_tenant
from storage.ledger.tenants.uploads import create_uploads
from storage.ledger.webhooks.endpoints import create_endpoint
from storage.migrate import migrate
from storage.records import ENDED, NewImage, NewJob
from storage.tables import attempts, images, jobs, webhook_outbox
from tests.catalogue import bar_mask, png
from tests.faults.balance import imbalances
from tests.running import REPOSITORY, children, clean_environment, kill
from tests.servers import PostgresServer, RedisServer, start_server
from tests.shop import RIGHTS
from workers.errors import CoderLost

WORKERS = 4
JOB = 500
DISPATCH = ["cleanplate", "dispatch"]
#: One kill in this number is the dispatcher's.
DISPATCHER_SHARE = 12
#: Of twelve troubles, so many are of each kind.
TROUBLES = {"kill": 7, "freeze": 2, "cut": 2, "flush": 1}
#: With coders, so many beside them are the death of one.
CODERS_SHARE = 8
#: Seconds for which a process is stopped, in leases.
FROZEN_LEASES = (0.1, 1.5)
#: Seconds between two checks, each of which may kill once.
PAUSES_S = (0.05, 0.5)


@dataclass
class Report:
    """The result of a soak."""

    images: int
    troubles: Counter[str]
    seconds: float
    imbalances: list[str]
    lost: int
    twice: int
    #: Seconds from the last heartbeat of a dead worker until its image was queued again, and until it was leased again;
    #: one for each image.
    returns_s: list[float] = field(default_factory=list)
    recoveries_s: list[float] = field(default_factory=list)
    #: Longest time in which no image ended.
    pause_s: float = 0.0
    #: Attempts that were lost with their coder, and images that failed so.
    coders_lost: int = 0
    failed_by_coders: int = 0

    def lines(self) -> list[str]:
        return [
            ", ".join(f"{self.troubles[kind]} × {kind}" for kind in (*TROUBLES, "coder"))
            + f" over {self.images} images in {self.seconds:.0f} s; at most {self.pause_s:.1f} s without an end",
            f"{self.lost} lost, {self.twice} counted twice, {len(self.imbalances)} accounts out of balance",
            f"{len(self.returns_s)} images of dead workers, from the last heartbeat on: "
            + ", ".join(
                f"{state} again median {statistics.median(waits or [0]):.1f} s, slowest {max(waits, default=0):.1f} s"
                for state, waits in (("queued", self.returns_s), ("leased", self.recoveries_s))
            ),
            f"{self.coders_lost} attempts lost with a coder, by which {self.failed_by_coders} images failed",
            *self.imbalances,
        ]


class Processes:
    """Workers and a dispatcher; a killed process is started again at once."""

    def __init__(self, settings: Settings, stack: ExitStack) -> None:
        self._environment = clean_environment(settings.environment())
        self._log = stack.enter_context((settings.home / "soak.log").open("ab"))
        self._lease_s = settings.lease_s
        self._troubles = TROUBLES | ({"coder": CODERS_SHARE} if settings.coders > 0 else {})
        self._broker_url = settings.broker_url.get_secret_value()
        self._running: list[tuple[list[str], subprocess.Popen[bytes]]] = []
        #: Stopped processes, each with the time at which it goes on.
        self._frozen: dict[int, float] = {}
        #: Times of death, by the process id of the killed worker.
        self.died: dict[int, datetime] = {}
        for arguments in [DISPATCH, *[["tests.faults.null_worker"]] * WORKERS]:
            self._start(arguments)
        stack.callback(self._end)

    def _start(self, arguments: list[str]) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env=self._environment,
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        self._running.append((arguments, process))

    def trouble_one(self, chance: random.Random, database: Database) -> str | None:
        """Kill or stop the dispatcher or a worker that has leased images, or harm a server; what was done."""
        kind = chance.choices([*self._troubles], [*self._troubles.values()])[0]
        if kind == "cut" and database.on_postgres:
            cut_connections(database)
            return kind
        if kind == "flush" and self._broker_url.startswith("redis"):
            with redis.Redis.from_url(self._broker_url) as client:
                client.flushdb()
            return kind
        if kind == "coder":
            coders = [coder for worker in self.workers for server in children(worker) for coder in children(server)]
            if coders:
                kill(chance.choice(coders))
            return kind if coders else None
        victim = self._victim(chance, database)
        if victim is None:
            return None
        if kind == "freeze":
            pid = victim[1].pid
            os.kill(pid, signal.SIGSTOP)
            self._frozen[pid] = time.monotonic() + chance.uniform(*FROZEN_LEASES) * self._lease_s
            return kind
        self._kill(*victim)
        return "kill"

    def _victim(self, chance: random.Random, database: Database) -> tuple[list[str], subprocess.Popen[bytes]] | None:
        """The dispatcher, or a worker that has leased images, which is not stopped."""
        at_work = _at_work(database, self.workers)
        victims = [
            running
            for running in self._running
            if (running[1].pid in at_work if running[0] != DISPATCH else chance.randrange(DISPATCHER_SHARE) == 0)
        ]
        victims = [running for running in victims if running[1].pid not in self._frozen]
        if not victims:
            return None
        # The dispatcher is the first of all processes; where it is among the victims, it is the one.
        return victims[0] if victims[0][0] == DISPATCH else chance.choice(victims)

    def _kill(self, arguments: list[str], process: subprocess.Popen[bytes]) -> None:
        self._running.remove((arguments, process))
        self.died[process.pid] = datetime.now(UTC)
        kill(process.pid)
        process.wait()
        self._start(arguments)
        self._running.sort(key=lambda running: running[0] != DISPATCH)

    def tend(self) -> None:
        """Let stopped processes go on, and start processes again that ended by themselves, as a supervisor does."""
        for pid in [pid for pid, until in self._frozen.items() if until <= time.monotonic()]:
            del self._frozen[pid]
            os.kill(pid, signal.SIGCONT)
        for running in [running for running in self._running if running[1].poll() is not None]:
            self._running.remove(running)
            self._start(running[0])
        self._running.sort(key=lambda running: running[0] != DISPATCH)

    def are_through(self, database: Database) -> bool:
        """Tend the processes; whether all jobs have ended. Not while the ledger is away."""
        self.tend()
        try:
            return not open_jobs(database)
        except LedgerUnavailable:
            return False

    @property
    def workers(self) -> list[int]:
        """Process ids of the workers."""
        return [process.pid for arguments, process in self._running if arguments != DISPATCH]

    def _end(self) -> None:
        for _, process in self._running:
            process.kill()
            process.wait()


def soak(settings: Settings, *, seed: int, count: int, kills: int, minutes: float = 0) -> Report:
    """Submit ``count`` images and make ``kills`` troubles while they run; submit more for ``minutes``."""
    chance = random.Random(seed)
    started_at = time.monotonic()
    database, blobs = Database.connect(settings.sqlalchemy_url), open_blobs(settings)
    total = 0
    troubles: Counter[str] = Counter()

    with ExitStack() as stack:
        processes = Processes(settings, stack)
        for start in range(0, count, JOB):
            total += submit(database, blobs, min(JOB, count - start))
        # Kills follow the number of ended images, so that a slow machine sees as many kills for its work as a fast one.
        step = count / kills if kills else math.inf
        due = chance.uniform(0, step)
        ended_before, ended_at, pause_s = 0, time.monotonic(), 0.0
        while (going := time.monotonic() - started_at < 60 * minutes) or open_jobs(database):
            if time.monotonic() - started_at > 60 * max(minutes, 1) + 30 * kills + count:
                break
            processes.tend()
            if going and not open_jobs(database):
                total += submit(database, blobs, JOB)
            if (ended_now := ended(database)) > ended_before:
                pause_s = max(pause_s, time.monotonic() - ended_at if ended_before else 0.0)
                ended_before, ended_at = ended_now, time.monotonic()
            if ended_now >= due and (trouble := processes.trouble_one(chance, database)):
                troubles[trouble] += 1
                due = (troubles.total() + chance.uniform(0, 1)) * step
            time.sleep(chance.uniform(*PAUSES_S))
    report = _report(database, processes.died, settings)
    report.imbalances.extend(imbalances(database, blobs))
    report.images, report.troubles, report.seconds = total, troubles, time.monotonic() - started_at
    report.pause_s = pause_s
    database.close()
    return report


def cut_connections(database: Database) -> None:
    """End all sessions of the ledger but the soak's own, whatever they do."""
    with database.read() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )


def submit(database: Database, blobs: Blobs, number: int) -> int:
    """Submit a job of ``number`` images of one file, whose events go to an endpoint that does not exist."""
    tenant = ensure_tenant(database, "soak")
    endpoint = create_endpoint(database, tenant, "https://shop.example/hook")[0].id
    (source,) = create_uploads(database, tenant, [("a.png", "image/png")], expires_in_s=1e6)
    blobs.put(source.key, png(bar_mask()), content_type="image/png")
    picture = NewImage(name="a.png", source_upload_id=source.id, mask=FileMask(upload_id=source.id))
    job = NewJob(images=[picture] * number, rights=RIGHTS, webhook_endpoint_id=endpoint)
    submit_job(database, tenant, job)
    return number


def _at_work(database: Database, workers: list[int]) -> set[int]:
    """Process ids of the workers that have leased images: killing a worker that only starts shows nothing."""
    named = attempts.c.worker.in_([f"null:{pid}:null" for pid in workers])
    with database.read() as connection:
        names = connection.scalars(select(attempts.c.worker).where(named).distinct())
        return {int(name.split(":")[1]) for name in names}


def ended(database: Database) -> int:
    """Number of ended images."""
    with database.read() as connection:
        return connection.scalar(select(func.count()).where(images.c.finished_at.is_not(None))) or 0


def open_jobs(database: Database) -> int:
    """Number of unfinished jobs, and of events that wait in the outbox."""
    waiting = select(func.count()).where(jobs.c.state.in_(["queued", "running"])).scalar_subquery()
    pending_events = select(func.count()).select_from(webhook_outbox).scalar_subquery()
    with database.read() as connection:
        return int(connection.scalar(select(waiting + pending_events)) or 0)


def _report(database: Database, died: dict[int, datetime], settings: Settings) -> Report:
    after = attempts.alias("after")
    next_attempts = (
        select(attempts.c.worker, attempts.c.ended_at, after.c.started_at)
        .join(after, (after.c.image_id == attempts.c.image_id) & (after.c.attempt == attempts.c.attempt + 1))
        .where(attempts.c.outcome == "lost")
    )
    with database.read() as connection:
        lost = connection.scalar(select(func.count()).where(images.c.state.not_in(ENDED)))
        again = (
            select(attempts.c.image_id)
            # An attempt that ended with its coder is followed by another.
            .where(attempts.c.outcome.in_(["succeeded", "failed"]), attempts.c.code.is_distinct_from(CoderLost.code))
            .group_by(attempts.c.image_id)
            .having(func.count() > 1)
        )
        twice = len(connection.execute(again).all())
        # A worker's last heartbeat was at most one interval before its death.
        recovered = [
            (row, died[pid] - timedelta(seconds=settings.heartbeat_s))
            for row in connection.execute(next_attempts)
            if (pid := int(row.worker.split(":")[1])) in died
        ]
        by_coders = select(func.count()).select_from(attempts).where(attempts.c.code == CoderLost.code)
        coders_lost = connection.scalar(by_coders) or 0
        failed = connection.scalar(select(func.count()).where(images.c.error_code == CoderLost.code)) or 0
    returns = [(row.ended_at - heard).total_seconds() for row, heard in recovered]
    recoveries = [(row.started_at - heard).total_seconds() for row, heard in recovered]
    return Report(0, Counter(), 0.0, [], int(lost or 0), twice, returns, recoveries, 0.0, int(coders_lost), int(failed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--coders", type=int, default=0, help="coders of each worker")
    parser.add_argument("--minutes", type=float, default=0, help="submit more for this time")
    arguments = parser.parse_args()
    logs.configure(Settings(log_level="error"))
    postgres, broker = start_server(PostgresServer), start_server(RedisServer)
    try:
        postgres.make_template(migrate)
        settings = Settings(
            home=Path(tempfile.mkdtemp(prefix="cleanplate-soak-")),
            database_url=SecretStr(postgres.url(postgres.new_database())),
            broker_url=SecretStr(broker.new_database()),
            max_attempts=100,
            log_level="warning",
            coders=arguments.coders,
        )
        report = soak(
            settings, seed=arguments.seed, count=arguments.images, kills=arguments.kills, minutes=arguments.minutes
        )
    finally:
        broker.close()
        postgres.close()
    sys.stdout.write("\n".join([f"seed {arguments.seed}", *report.lines()]) + "\n")
    sys.exit(bool(report.lost or report.twice or report.imbalances))


if __name__ == "__main__":
    main()
