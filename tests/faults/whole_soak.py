"""The whole service killed at random, with the network it ships: ``python -m tests.faults.whole_soak --seed 7``.

API, dispatcher, worker's supervisor, worker's child and its coders die by ``kill -9`` while a shop submits over HTTP.
Each submitted job must exist once, and every picture must succeed. The long form, with null workers, is ``soak``.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import func, select

from cleanplate.base.settings import Settings
from cleanplate.client.answers import Rights
from cleanplate.client.http import Client
from cleanplate.client.journal import Journal
from cleanplate.errors import ServiceUnreachable
from storage.blobs import open_blobs
from storage.database import Database
from storage.ledger.tenants.tenants import create_key, ensure_tenant
from storage.migrate import migrate
from storage.records import ImageState
from storage.tables import attempts, images, jobs
from tests.catalogue import bar_mask, picture, png
from tests.faults.balance import imbalances
from tests.faults.conftest import hasty
from tests.faults.soak import open_jobs
from tests.running import Running, children, kill, processes_with, running, until
from tests.servers import PostgresServer, RedisServer, free_port, start_server

#: Pictures in one submission.
JOB = 5
PROGRAMS = ("serve", "dispatch", "worker")
#: The programs, the process of the worker that holds the network, and one of its coders.
VICTIMS = (*PROGRAMS, "child", "coder")
#: Seconds between two kills, in which the killed process comes back.
PAUSE_S = (2.0, 8.0)
RIGHTS = Rights(basis="owner", attested_by="Soak", reference="own photographs")


@dataclass
class Report:
    """The result of a soak."""

    killed: Counter[str]
    submitted: int
    #: Jobs in the ledger.
    held: int
    states: dict[str, int]
    #: Attempts by outcome.
    outcomes: dict[str, int]
    imbalances: list[str]

    def lines(self) -> list[str]:
        return [
            f"killed: {dict(self.killed)}",
            f"{self.submitted} jobs submitted, {self.held} in the ledger",
            f"images: {self.states}; attempts: {self.outcomes}",
            f"{len(self.imbalances)} accounts out of balance",
            *self.imbalances,
        ]

    @property
    def good(self) -> bool:
        return not self.imbalances and self.submitted == self.held and set(self.states) == {ImageState.SUCCEEDED.value}


class Whole:
    """The service's processes; a killed process is started again at once."""

    def __init__(self, settings: Settings, stack: ExitStack) -> None:
        self._settings = settings
        self._stack = stack
        self._logs = settings.home / "logs"
        self._logs.mkdir(parents=True)
        self._running: dict[str, Running] = {}
        for program in PROGRAMS:
            self._start(program)

    def _start(self, program: str) -> None:
        path = self._logs / f"{len(list(self._logs.iterdir()))}-{program}.log"
        self._running[program] = self._stack.enter_context(
            running(program, settings=self._settings.environment(), log_path=path)
        )

    def tend(self) -> None:
        """Start programs again that ended by themselves: an API ends while children of the former one hold the port."""
        for program in [name for name, process in self._running.items() if process.process.poll() is not None]:
            self._start(program)

    @property
    def story(self) -> str:
        return "\n".join(f"--- {name}\n{program.log[-3000:]}" for name, program in self._running.items())

    def kill(self, victim: str) -> bool:
        """Kill ``victim``; whether there was such a process."""
        if victim in PROGRAMS:
            self._running[victim].process.kill()
            self._running[victim].process.wait()
            self._start(victim)
            return True
        own_processes = processes_with(f"CLEANPLATE_HOME={self._settings.home}")
        # The child of Celery's prefork pool is the younger of the two with this command line.
        pids = sorted(pid for pid, line in own_processes.items() if "workers.device.process" in line)
        if len(pids) != 2:
            return False
        if victim == "coder":
            pids = [coder for server in children(pids[-1]) for coder in children(server)]
            if not pids:
                return False
        kill(pids[-1])
        return True


def whole_soak(settings: Settings, *, seed: int, count: int, kills: int) -> Report:
    """Submit about ``count`` pictures, kill meanwhile, and wait until all have ended."""
    chance = random.Random(seed)
    database, blobs = Database.connect(settings.sqlalchemy_url), open_blobs(settings)
    _, key = create_key(database, ensure_tenant(database, "shop"), "soak")
    killed: Counter[str] = Counter()
    submissions = max(count // JOB, 1)
    with ExitStack() as stack:
        whole = Whole(settings, stack)
        shop = threading.Thread(target=submit_all, args=(settings, key, submissions), name="shop", daemon=True)
        shop.start()
        while killed.total() < kills:
            victim = chance.choice(VICTIMS)
            killed[victim] += whole.kill(victim)
            time.sleep(chance.uniform(*PAUSE_S))
            whole.tend()

        def over() -> bool:
            whole.tend()
            return not shop.is_alive() and not open_jobs(database)

        until(over, lambda: f"not all jobs have ended\n{whole.story}", within_s=600)
    report = _report(database, killed, submissions)
    report.imbalances.extend(imbalances(database, blobs))
    database.close()
    return report


def submit_all(settings: Settings, key: str, submissions: int) -> None:
    """Submit as a shop does: each submission has a journal, and is repeated until the service has answered it."""
    folder = settings.home / "shop"
    folder.mkdir()
    mask = folder / "mask.png"
    mask.write_bytes(png(bar_mask()))
    pictures = []
    for number in range(JOB):
        pictures.append(folder / f"{number}.png")
        pictures[-1].write_bytes(png(picture(number)))
    with Client(settings.public_url, key) as client:
        for number in range(submissions):
            journal = Journal(folder / f"{number}.journal")
            while True:
                try:
                    client.submit(pictures, masks=mask, rights=RIGHTS, journal=journal)
                    break
                except ServiceUnreachable:
                    time.sleep(1)


def _report(database: Database, killed: Counter[str], submitted: int) -> Report:
    by_state = select(images.c.state, func.count()).group_by(images.c.state)
    by_outcome = select(attempts.c.outcome, func.count()).group_by(attempts.c.outcome)
    with database.read() as connection:
        held = connection.scalar(select(func.count()).select_from(jobs)) or 0
        states = {str(state): int(number) for state, number in connection.execute(by_state)}
        outcomes = {str(outcome): int(number) for outcome, number in connection.execute(by_outcome)}
    return Report(killed, submitted, held, states, outcomes, [])


def settings_for(settings: Settings) -> Settings:
    """These settings with a recovery in seconds, a free port, and a folder as the blob store."""
    port = free_port()
    changes = {"blobs_url": "", "coders": 2, "port": port, "public_url": f"http://127.0.0.1:{port}"}
    return hasty(settings).model_copy(update=changes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--kills", type=int, default=40)
    arguments = parser.parse_args()
    postgres, redis = start_server(PostgresServer), start_server(RedisServer)
    try:
        postgres.make_template(migrate)
        settings = Settings(
            home=Path(tempfile.mkdtemp(prefix="cleanplate-soak-")),
            database_url=SecretStr(postgres.url(postgres.new_database())),
            broker_url=SecretStr(redis.new_database()),
        )
        report = whole_soak(settings_for(settings), seed=arguments.seed, count=arguments.images, kills=arguments.kills)
    finally:
        redis.close()
        postgres.close()
    sys.stdout.write("\n".join([f"seed {arguments.seed}", *report.lines()]) + "\n")
    sys.exit(not report.good)


if __name__ == "__main__":
    main()
