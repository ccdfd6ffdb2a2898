"""Random histories of a ledger against a small model of it: the accounts balance after any sequence of events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import delete, func, select

from storage.database import Database
from storage.ledger.images.dispatch import take_shards
from storage.ledger.images.finish import finish_images
from storage.ledger.images.leases import heartbeat, lease_images, release_images
from storage.ledger.images.reaper import close_jobs, fold_deltas, reap_leases
from storage.ledger.jobs.changes import cancel_job
from storage.ledger.tenants.tenants import ensure_tenant
from storage.ledger.webhooks.endpoints import create_endpoint
from storage.records import ENDED, ImageState, JobState, Outcome
from storage.tables import attempts, audit_log, images, metadata
from tests.shop import Clock, Shop, failed, succeeded

MAX_ATTEMPTS = 3
LEASE_S = 60

numbers = st.integers(0, 1_000_000)
some = st.lists(numbers, max_size=6)


@dataclass
class Expected:
    """The model's state of an image."""

    job: str
    state: ImageState = ImageState.QUEUED
    attempt: int = 0
    token: str = ""
    expires: datetime | None = None
    tiles: int = 0


class Books(RuleBasedStateMachine):
    """All operations on jobs, in any order."""

    def __init__(self, db: Database, clock: Clock) -> None:
        super().__init__()
        self.db = db
        self.clock = clock
        self.images: dict[str, Expected] = {}
        self.jobs: dict[str, JobState] = {}
        self.tokens: list[str] = []

    @initialize()
    def open_the_shop(self) -> None:
        with self.db.write() as connection:
            for table in reversed(metadata.sorted_tables):
                if table is not audit_log:  # which only grows
                    connection.execute(delete(table))
        self.shop = Shop(self.db, ensure_tenant(self.db, "shop"))
        self.endpoint = create_endpoint(self.db, self.shop.tenant, "https://shop.example")[0].id

    def pick(self, numbers: list[int]) -> list[str]:
        """Some images, by any numbers."""
        ids = sorted(self.images)
        return list(dict.fromkeys(ids[number % len(ids)] for number in numbers)) if ids else []

    def held(self, token: str, ids: list[str] | None = None) -> set[str]:
        """The images that a token holds, as the model sees it."""
        return {
            image_id
            for image_id, image in self.images.items()
            if image.token == token and image.state is ImageState.RUNNING and (ids is None or image_id in ids)
        }

    def available_at(self, image_id: str) -> datetime:
        with self.db.read() as connection:
            return connection.scalars(select(images.c.available_at).where(images.c.id == image_id)).one()

    @rule(count=st.integers(1, 4))
    def submit(self, count: int) -> None:
        job = self.shop.submit(count, webhook=self.endpoint)
        self.jobs[job.id] = JobState.QUEUED
        for image_id in self.shop.image_ids(job.id):
            self.images[image_id] = Expected(job.id)

    @rule(depth=st.integers(1, 4), size=st.integers(1, 4))
    def dispatch_and_lease(self, depth: int, size: int) -> None:
        for shard in take_shards(self.db, depth=depth, shard_size=size, publish_timeout_s=120).shards:
            assert 1 <= len(shard.image_ids) <= size
            assert {self.images[image_id].job for image_id in shard.image_ids} == {shard.job_id}
            if any(self.images[image_id].attempt for image_id in shard.image_ids):
                assert len(shard.image_ids) == 1
            self.lease_ids(shard.image_ids)

    @rule(depth=st.integers(1, 4), size=st.integers(1, 4))
    def dispatch_and_lose_the_message(self, depth: int, size: int) -> None:
        for shard in take_shards(self.db, depth=depth, shard_size=size, publish_timeout_s=120).shards:
            assert {self.images[image_id].state for image_id in shard.image_ids} == {ImageState.QUEUED}

    @rule(numbers=some)
    def lease(self, numbers: list[int]) -> None:
        self.lease_ids(self.pick(numbers))

    def lease_ids(self, ids: list[str]) -> None:
        free = [
            image_id
            for image_id in ids
            if self.images[image_id].state is ImageState.QUEUED and self.available_at(image_id) <= self.clock.time
        ]
        token, leased = lease_images(self.db, ids, worker="w", lease_s=LEASE_S)
        assert [image.id for image in leased] == free
        self.tokens.append(token)
        for image in leased:
            expected = self.images[image.id]
            expected.state, expected.token, expected.tiles = ImageState.RUNNING, token, 0
            expected.attempt += 1
            expected.expires = self.clock.time + timedelta(seconds=LEASE_S)
            assert image.attempt == expected.attempt <= MAX_ATTEMPTS
            if self.jobs[expected.job] is JobState.QUEUED:
                self.jobs[expected.job] = JobState.RUNNING

    def token(self, number: int) -> str:
        return self.tokens[number % len(self.tokens)] if self.tokens else "none"

    @rule(number=numbers, tiles=st.integers(0, 9))
    def beat(self, number: int, tiles: int) -> None:
        token = self.token(number)
        mine = self.held(token)
        assert heartbeat(self.db, token, lease_s=LEASE_S, progress=dict.fromkeys(self.images, (tiles, 9))) == mine
        for image_id in mine:
            self.images[image_id].tiles = tiles
            self.images[image_id].expires = self.clock.time + timedelta(seconds=LEASE_S)

    @rule(number=numbers, chosen=some, how=st.sampled_from(["succeeded", "skipped", "failed", "retry"]))
    def finish(self, number: int, chosen: list[int], how: str) -> None:
        token, ids = self.token(number), self.pick(chosen)
        make: dict[str, Callable[[str], Outcome]] = {
            "succeeded": lambda image_id: succeeded(image_id, tiles=5),
            "skipped": lambda image_id: Outcome(image_id=image_id, state=ImageState.SKIPPED),
            "failed": failed,
            "retry": lambda image_id: failed(image_id, retry=True),
        }
        mine = self.held(token, ids)
        outcomes = [make[how](image_id) for image_id in ids]
        assert finish_images(self.db, token, outcomes, max_attempts=MAX_ATTEMPTS) == mine
        for outcome in outcomes:
            if outcome.image_id in mine:
                image = self.images[outcome.image_id]
                again = outcome.retry and image.attempt < MAX_ATTEMPTS
                image.state = ImageState.QUEUED if again else outcome.state
                image.tiles = outcome.tiles_done

    @rule(number=numbers, chosen=some)
    def release(self, number: int, chosen: list[int]) -> None:
        token, ids = self.token(number), self.pick(chosen)
        mine = self.held(token, ids)
        release_images(self.db, token, ids)
        for image_id in mine:
            self.images[image_id].state = ImageState.QUEUED
            self.images[image_id].attempt -= 1
            self.images[image_id].tiles = 0

    @rule(seconds=st.sampled_from([1, 10, 60, 200]))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule()
    def reap(self) -> None:
        lost = [
            image
            for image in self.images.values()
            if image.state is ImageState.RUNNING and image.expires is not None and image.expires <= self.clock.time
        ]
        for image in lost:
            image.state = ImageState.FAILED if image.attempt >= MAX_ATTEMPTS else ImageState.QUEUED
            image.tiles = 0
        dead = sum(image.state is ImageState.FAILED for image in lost)
        assert reap_leases(self.db, max_attempts=MAX_ATTEMPTS).counts == (len(lost) - dead, dead)

    @rule(number=numbers)
    def cancel(self, number: int) -> None:
        if not self.jobs:
            return
        job_id = sorted(self.jobs)[number % len(self.jobs)]
        stopped = [image for image in self.images.values() if image.job == job_id and image.state not in ENDED]
        for image in stopped:
            image.state = ImageState.CANCELED
        if stopped:
            self.jobs[job_id] = JobState.CANCELED
        assert cancel_job(self.db, self.shop.tenant, job_id).state is self.jobs[job_id]

    @rule()
    def fold(self) -> None:
        fold_deltas(self.db)
        assert fold_deltas(self.db).rows == 0

    @rule()
    def close(self) -> None:
        due = [
            job_id
            for job_id, state in sorted(self.jobs.items())
            if state in {JobState.QUEUED, JobState.RUNNING}
            and all(image.state in ENDED for image in self.images.values() if image.job == job_id)
        ]
        assert close_jobs(self.db) == due
        self.jobs |= dict.fromkeys(due, JobState.COMPLETED)

    @invariant()
    def the_books_balance(self) -> None:
        for job_id, state in self.jobs.items():
            job = self.shop.job(job_id)
            mine = [image for image in self.images.values() if image.job == job_id]
            states = Counter(image.state for image in mine)
            assert job.state is state
            assert (job.finished_at is not None) == (state in {JobState.COMPLETED, JobState.CANCELED})
            assert job.counts.total == job.total == len(mine)
            assert {name: getattr(job.counts, name) for name in ImageState} == {
                name: states[name] for name in ImageState
            }
            assert job.counts == self.shop.count_images(job_id)
            assert job.tiles_done == sum(image.tiles for image in mine)
            events = Counter(event["type"] for event in self.shop.events(job_id))
            assert events["image.failed"] == states[ImageState.FAILED]
            assert events["job.completed"] == (state is JobState.COMPLETED)

    @invariant()
    def every_attempt_is_written_down(self) -> None:
        with self.db.read() as connection:
            made = {
                row.image_id: (row.made, row.open)
                for row in connection.execute(
                    select(
                        attempts.c.image_id,
                        func.count().label("made"),
                        func.count().filter(attempts.c.ended_at.is_(None)).label("open"),
                    ).group_by(attempts.c.image_id)
                )
            }
        for image_id, image in self.images.items():
            assert made.get(image_id, (0, 0)) == (image.attempt, int(image.state is ImageState.RUNNING))


def test_the_books_balance_after_any_history(db: Database, clock: Clock) -> None:
    run_state_machine_as_test(
        lambda: Books(db, clock),
        settings=settings(
            max_examples=20,
            stateful_step_count=40,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
