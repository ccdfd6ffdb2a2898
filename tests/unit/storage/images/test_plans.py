"""Statements on Postgres read what is open and not what has ended, prepared for any value (generic plan) as well.

The ledger holds 100,000 images that have ended. Each call repeats until psycopg has prepared its statements and
Postgres may plan them without their values; the test then counts the blocks of tables and indexes that one more call
reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr
from sqlalchemy import func, select, text

from cleanplate.base.settings import Settings
from storage.database import Database
from storage.ledger.images.deadlines import fail_late_images
from storage.ledger.images.dispatch import read_backlog, take_shards
from storage.ledger.images.finish import finish_images
from storage.ledger.images.leases import heartbeat, lease_images, release_images
from storage.ledger.images.pending_work import pending_work
from storage.ledger.images.reaper import close_jobs, fold_deltas, reap_leases
from storage.ledger.jobs.changes import cancel_job
from storage.ledger.jobs.filters import ImageFilter, JobFilter
from storage.ledger.jobs.pauses import recall_paused
from storage.ledger.jobs.reading import get_job, list_images, list_jobs
from storage.ledger.jobs.watching import look_since
from storage.ledger.operations.queues import busy_workers, queues
from storage.ledger.retention.expiry import drop_expired_uploads, drop_old_deliveries, expired_jobs
from storage.ledger.templates.leases import reap_templates, take_templates
from storage.ledger.tenants.tenants import ensure_tenant
from storage.ledger.webhooks.deliveries import claim_deliveries
from storage.ledger.webhooks.endpoints import create_endpoint
from storage.ledger.webhooks.relay import relay_events
from storage.records import ImageState, JobState
from storage.tables import images, metadata
from tests.shop import Shop, succeeded

ENDED_JOBS, ENDED_EACH = 200, 500
#: One full read of the images' table is above this: 100,000 rows are more than 3,000 blocks.
MOST_BLOCKS = 400
#: psycopg prepares a statement at its sixth execution, Postgres turns to a generic plan at the sixth after that.
REPEATS = 14

_ENDED = """
INSERT INTO jobs (id, tenant_id, state, options, total, succeeded, created_at, started_at, finished_at)
    SELECT 'job_0' || lpad(j::text, 6, '0'), %(tenant)s, 'completed', '{}', %(each)s, %(each)s, now(), now(), now()
    FROM generate_series(1, %(jobs)s) j;
INSERT INTO images (id, job_id, tenant_id, position, name, state, source_key, mask_key, result_key, content_type,
                    attempt, available_at, record, created_at, started_at, finished_at)
    SELECT 'img_0' || lpad((j * %(each)s + p)::text, 8, '0'), 'job_0' || lpad(j::text, 6, '0'), %(tenant)s, p,
           p || '.jpg', CASE WHEN p %% 50 = 0 THEN 'failed' ELSE 'succeeded' END, 't/source/' || j || '/' || p,
           't/mask', 't/result', 'image/jpeg', 1, now(), '{"method": "inpainting"}', now(), now(), now()
    FROM generate_series(1, %(jobs)s) j, generate_series(0, %(each)s - 1) p;
INSERT INTO attempts (image_id, attempt, worker, started_at, ended_at, outcome)
    SELECT id, 1, 'w', now(), now(), 'succeeded' FROM images;
INSERT INTO uploads (id, tenant_id, key, filename, content_type, uses, created_at, expires_at)
    SELECT 'upl' || substr(id, 4), tenant_id, source_key, name, 'image/jpeg', 1, now(), now() FROM images;
INSERT INTO webhook_deliveries (id, endpoint_id, job_id, event_type, sequence, payload, state, next_attempt_at,
                                created_at)
    SELECT 'evt' || substr(id, 4), %(endpoint)s, job_id, 'image.succeeded', position + 1, '{}', 'delivered', now(),
           now()
    FROM images;
"""


@dataclass
class Crowded:
    """A shop with one open job of 64 images beside all that has ended, and a count of the blocks that calls read."""

    shop: Shop
    job_id: str
    connection: psycopg.Connection

    def blocks(self, call: Callable[[], object]) -> int:
        """Blocks of tables and indexes that the call reads once its statements are prepared."""
        for _ in range(REPEATS):
            call()
        before = self._read_so_far()
        call()
        return self._read_so_far() - before

    def _read_so_far(self) -> int:
        with self.shop.db.read() as connection:
            connection.execute(select(func.pg_stat_force_next_flush()))
        # What this connection itself has read, such as the rows above, would be reported at any later moment.
        self.connection.execute("SELECT pg_stat_force_next_flush()")
        row = self.connection.execute(
            "SELECT sum(coalesce(heap_blks_read + heap_blks_hit, 0) + coalesce(idx_blks_read + idx_blks_hit, 0)"
            " + coalesce(toast_blks_read + toast_blks_hit, 0)) FROM pg_statio_user_tables"
        ).fetchone()
        assert row is not None
        return int(row[0])


@pytest.fixture(scope="module", params=["auto", "force_generic_plan"])
def crowded(request: pytest.FixtureRequest) -> Iterator[Crowded]:
    server = request.getfixturevalue("postgres_server")
    name = server.new_database()
    url = f"{server.url(name)}?options=-cplan_cache_mode%3D{request.param}"
    db = Database.connect(url.replace("postgresql://", "postgresql+psycopg://"))
    shop = Shop(db, ensure_tenant(db, "shop"))
    endpoint, _ = create_endpoint(db, shop.tenant, "https://shop.example", ["*"])
    with psycopg.connect(server.url(name), autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        for table in metadata.tables:
            # Its blocks would count as a call's.
            connection.execute(sql.SQL("ALTER TABLE {} SET (autovacuum_enabled = false)").format(sql.Identifier(table)))
        connection.execute(
            _ENDED, {"tenant": shop.tenant, "endpoint": endpoint.id, "jobs": ENDED_JOBS, "each": ENDED_EACH}
        )
        job = shop.submit(64, webhook=endpoint.id)
        connection.execute("VACUUM ANALYZE")
        yield Crowded(shop, job.id, connection)
    db.close()
    server.drop_database(name)


def take(crowded: Crowded) -> None:
    take_shards(crowded.shop.db, depth=1, shard_size=8, publish_timeout_s=0)


def work(crowded: Crowded) -> None:
    """One image from lease to end."""
    db = crowded.shop.db
    queued = list_images(
        db, crowded.shop.tenant, crowded.job_id, limit=2, after=None, only=ImageFilter(state=ImageState.QUEUED)
    )
    ids = [image.id for image in queued]
    token, leased = lease_images(db, ids, worker="w", lease_s=60)
    assert len(leased) == 2
    heartbeat(db, token, lease_s=60, progress={ids[0]: (1, 2)})
    release_images(db, token, ids[1:])
    assert finish_images(db, token, [succeeded(ids[0])], max_attempts=3) == {ids[0]}


def cancel(crowded: Crowded) -> None:
    cancel_job(crowded.shop.db, crowded.shop.tenant, crowded.shop.submit(1).id)


CALLS: dict[str, Callable[[Crowded], object]] = {
    "pending work": lambda crowded: pending_work(crowded.shop.db),
    "take": take,
    "work": work,
    "fold": lambda crowded: fold_deltas(crowded.shop.db),
    "close": lambda crowded: close_jobs(crowded.shop.db),
    "reap": lambda crowded: reap_leases(crowded.shop.db, max_attempts=3),
    "deadlines": lambda crowded: fail_late_images(crowded.shop.db),
    "recall": lambda crowded: recall_paused(crowded.shop.db),
    "backlog": lambda crowded: read_backlog(crowded.shop.db),
    "templates": lambda crowded: (
        take_templates(crowded.shop.db, publish_timeout_s=60),
        reap_templates(crowded.shop.db, max_attempts=3),
    ),
    "job": lambda crowded: get_job(crowded.shop.db, crowded.shop.tenant, crowded.job_id),
    "jobs": lambda crowded: list_jobs(crowded.shop.db, crowded.shop.tenant, limit=50, after=None),
    "open jobs": lambda crowded: look_since(crowded.shop.db, crowded.shop.tenant, datetime.now(UTC)),
    "jobs by state": lambda crowded: list_jobs(
        crowded.shop.db, crowded.shop.tenant, limit=50, after=None, only=JobFilter(state=JobState.RUNNING)
    ),
    "page of images": lambda crowded: list_images(
        crowded.shop.db, crowded.shop.tenant, crowded.job_id, limit=50, after=10
    ),
    "queues": lambda crowded: (queues(crowded.shop.db, None), busy_workers(crowded.shop.db)),
    "outbox": lambda crowded: relay_events(crowded.shop.db),
    "deliveries": lambda crowded: claim_deliveries(crowded.shop.db, limit=16, claim_s=0.0, each=4),
    "sweep": lambda crowded: (
        expired_jobs(crowded.shop.db),
        drop_expired_uploads(crowded.shop.db),
        drop_old_deliveries(crowded.shop.db, 1e6),
    ),
    "cancel": cancel,
}


@pytest.mark.parametrize("name", list(CALLS))
def test_a_call_reads_few_blocks_beside_many_images_that_have_ended(crowded: Crowded, name: str) -> None:
    assert crowded.blocks(lambda: CALLS[name](crowded)) <= MOST_BLOCKS


def test_a_comparison_with_a_word_that_no_state_has_is_refused() -> None:
    with pytest.raises(ValueError, match="lost"):
        select(images.c.id).where(images.c.state == "lost")


def test_statements_behind_a_pooler_are_not_prepared(postgres_url: str) -> None:
    settings = Settings(database_url=SecretStr(postgres_url), database_pooler=True)
    counts = []
    for url in (settings.sqlalchemy_url, settings.model_copy(update={"database_pooler": False}).sqlalchemy_url):
        db = Database.connect(url)
        for _ in range(REPEATS):
            read_backlog(db)
        with db.read() as connection:
            counts.append(connection.scalar(text("SELECT count(*) > 0 FROM pg_prepared_statements")))
        db.close()
    assert counts == [False, True]
