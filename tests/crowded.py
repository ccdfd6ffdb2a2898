"""A ledger with many images that have ended, and a count of the blocks that calls read in it.

The rows are written by SQL. The calls are those of the service, each prepared before it is measured, so that Postgres
may plan its statements without their values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from sqlalchemy import event, func, select

from cleanplate.base.masks import BoxesMask
from storage.ledger.images.deadlines import fail_late_images
from storage.ledger.images.dispatch import read_backlog, take_shards
from storage.ledger.images.finish import finish_images
from storage.ledger.images.leases import heartbeat, lease_images, release_images
from storage.ledger.images.pending_work import pending_work
from storage.ledger.images.reaper import close_jobs, fold_deltas, reap_leases
from storage.ledger.jobs.changes import cancel_job
from storage.ledger.jobs.filters import ImageFilter, JobFilter
from storage.ledger.jobs.overviews import overview
from storage.ledger.jobs.pauses import recall_paused
from storage.ledger.jobs.reading import (
    Doubted,
    find_images,
    get_image,
    get_job,
    list_images,
    list_images_by_doubt,
    list_jobs,
    list_results,
    recent_pace,
)
from storage.ledger.jobs.redoing import Redo, redo_images, review_images
from storage.ledger.jobs.watching import look_since
from storage.ledger.operations.audit import (
    EntryFilter,
    chain,
    chained_entries,
    entries_of_job,
    find_entries,
    heads,
    latest_entries,
)
from storage.ledger.operations.flow import note_waiting, recent_flow
from storage.ledger.operations.queues import busy_workers, queues
from storage.ledger.retention.deletion import delete_job
from storage.ledger.retention.expiry import drop_expired_uploads, drop_old_deliveries, expired_jobs
from storage.ledger.templates.leases import reap_templates, take_templates
from storage.ledger.templates.of_repairs import cancel_repairs_without_mark, drop_templates_of_ended_repairs
from storage.ledger.tenants.accounts import fold_accounts, list_account, today
from storage.ledger.tenants.quotas import get_usage
from storage.ledger.webhooks.deliveries import claim_deliveries, list_deliveries, recover
from storage.ledger.webhooks.outbox import TOGETHER_FROM
from storage.ledger.webhooks.relay import relay_events
from storage.records import DeliveryState, ImageReview, ImageState, JobState
from storage.tables import metadata
from tests.shop import Shop, succeeded

#: Tables with rows for each image.
LARGE_TABLES = ("images", "attempts", "uploads", "webhook_deliveries", "audit_log")
#: Images of one ended job.
EACH = 500
#: Results that a person judges at once.
JUDGED = 20
#: Number of an ended job with more images than the others, whose pages and overview are read.
LARGE = 9_000_000
#: Number of an ended job that has done images of the large one again.
REDONE = 9_000_001
#: Number of an ended job of ten images.
SMALL = 9_000_002
#: psycopg prepares a statement at its sixth execution, Postgres turns to a generic plan at the sixth after that.
REPEATS = 14

#: Images in one delivery of a job that has batched ones.
_TOGETHER = 80
#: Jobs ``first`` to ``last`` with all that the service keeps of them: each 50th image failed, each 7th job had a
#: deadline. Their rows refer to each other by construction, so that no foreign key is checked row by row.
_ENDED = """
SET session_replication_role = replica;
INSERT INTO jobs (id, tenant_id, state, options, rights_basis, attested_by, rights_reference, total, succeeded, failed,
                  webhook_endpoint_id, deadline, created_at, started_at, finished_at)
    SELECT 'job_0' || lpad(j::text, 8, '0'), %(tenant)s, 'completed', '{}', 'owner', 'Jo Doe', 'own photographs',
           %(each)s, %(each)s - %(each)s / 50, %(each)s / 50, %(endpoint)s,
           CASE WHEN j %% 7 = 0 THEN now() - interval '1 hour' END, now(), now(),
           now() - interval '1 day'
    FROM generate_series(%(first)s::int, %(last)s) j;
INSERT INTO images (id, job_id, tenant_id, position, name, state, source_key, mask_key, result_key, content_type,
                    attempt, available_at, record, error_code, result_sha256, custom_id, created_at, started_at,
                    finished_at)
    SELECT 'img_0' || lpad((j::bigint * 100000 + p)::text, 13, '0'), 'job_0' || lpad(j::text, 8, '0'), %(tenant)s,
           p, p || '.jpg', CASE WHEN p %% 50 = 0 THEN 'failed' ELSE 'succeeded' END,
           't/source/upl_0' || lpad((j::bigint * 100000 + p)::text, 13, '0'),
           't/mask', CASE WHEN p %% 50 <> 0 THEN 't/result' END, 'image/jpeg', 1, now(), %(record)s,
           CASE WHEN p %% 50 = 0 THEN 'image_truncated' END,
           CASE WHEN p %% 50 <> 0 THEN md5(j || '/' || p) || md5(p || '/' || j) END, 'sku-' || p, now(), now(), now()
    FROM generate_series(%(first)s::int, %(last)s) j, generate_series(0, %(each)s - 1) p;
INSERT INTO attempts (image_id, attempt, worker, started_at, ended_at, outcome)
    SELECT 'img_0' || lpad((j::bigint * 100000 + p)::text, 13, '0'), 1, 'w', now(), now(), 'succeeded'
    FROM generate_series(%(first)s::int, %(last)s) j, generate_series(0, %(each)s - 1) p;
INSERT INTO uploads (id, tenant_id, key, filename, content_type, uses, created_at, expires_at)
    SELECT 'upl_0' || lpad((j::bigint * 100000 + p)::text, 13, '0'), %(tenant)s,
           't/source/upl_0' || lpad((j::bigint * 100000 + p)::text, 13, '0'), p || '.jpg', 'image/jpeg', 1, now(), now()
    FROM generate_series(%(first)s::int, %(last)s) j, generate_series(0, %(each)s - 1) p;
INSERT INTO webhook_deliveries (id, endpoint_id, job_id, event_type, sequence, payload, state, next_attempt_at,
                                created_at)
    SELECT 'evt_0' || lpad((j::bigint * 100000 + p)::text, 13, '0'), %(endpoint)s, 'job_0' || lpad(j::text, 8, '0'),
           CASE WHEN %(together)s::int > 1 THEN 'image.batch' ELSE 'image.succeeded' END, p / %(together)s + 1, '{}',
           'delivered', now(), now()
    FROM generate_series(%(first)s::int, %(last)s) j, generate_series(0, %(each)s - 1, %(together)s) p;
INSERT INTO audit_log (tenant_id, at, action, actor, job_id, image_id, data, sequence, hash)
    SELECT %(tenant)s, now(), 'image.succeeded', 'worker:w', 'job_0' || lpad(j::text, 8, '0'),
           'img_0' || lpad((j::bigint * 100000 + p)::text, 13, '0'), '{}', j::bigint * 100000 + p, repeat('0', 64)
    FROM generate_series(%(first)s::int, %(last)s) j, generate_series(0, %(each)s - 1) p;
SET session_replication_role = DEFAULT;
"""


def add_ended_jobs(
    connection: psycopg.Connection,
    tenant: str,
    endpoint: str,
    *,
    first: int,
    last: int,
    each: int = EACH,
    record: str = '{"method": "inpainting", "seconds": {"network": 0.1}}',
) -> None:
    """Writes the jobs ``first`` to ``last`` of ``each`` images, all ended; the connection binds values by itself."""
    values = {
        "tenant": tenant,
        "endpoint": endpoint,
        "first": first,
        "last": last,
        "each": each,
        "together": 1 if each < TOGETHER_FROM else _TOGETHER,
        "record": record,
    }
    connection.execute(_ENDED, values)


#: Makes an ended job the child of another whose failed images it has done again, in place of their results.
_REDONE = """
UPDATE jobs SET parent_job_id = %(parent)s, replaces = true WHERE id = %(child)s;
UPDATE images SET redo_of = (SELECT id FROM images AS first WHERE first.job_id = %(parent)s
                             AND first.position = images.position * 50), review = 'rejected'
    WHERE job_id = %(child)s AND state = 'succeeded';
"""


def add_redone(connection: psycopg.Connection, tenant: str, endpoint: str, *, of_large: int) -> None:
    """Writes a job that has done the failed images of the large one again; a person has rejected its results."""
    add_ended_jobs(connection, tenant, endpoint, first=REDONE, last=REDONE, each=of_large // 50)
    connection.execute(_REDONE, {"parent": ended_job(LARGE), "child": ended_job(REDONE)})


def ended_job(number: int) -> str:
    """The id of the ended job of this number."""
    return f"job_0{number:08}"


def ended_image(number: int, position: int) -> str:
    """The id of an image of the ended job of this number."""
    return f"img_0{number * 100_000 + position:013}"


def stop_autovacuum(connection: psycopg.Connection) -> None:
    """Keeps autovacuum from reading blocks beside the calls."""
    for table in metadata.tables:
        connection.execute(sql.SQL("ALTER TABLE {} SET (autovacuum_enabled = false)").format(sql.Identifier(table)))


#: Blocks of the service's tables and indexes that this session has fetched and not reported yet.
_FETCHED = (
    "SELECT coalesce(sum(pg_stat_get_xact_blocks_fetched(oid)), 0) FROM pg_class"
    " WHERE oid >= 16384 AND relkind IN ('r', 'i', 't')"
)


@dataclass
class Crowded:
    """A shop with one open job beside all that has ended, and a count of the blocks that calls read."""

    shop: Shop
    #: A job of 64 queued images.
    job_id: str
    endpoint_id: str
    connection: psycopg.Connection
    #: The ended job that is deleted next.
    next_deleted: int = 1

    def prepared_reads(self, call: Callable[[], object]) -> list[int]:
        """As :meth:`reads`, once the call's statements are prepared."""
        for _ in range(REPEATS):
            call()
        return self.reads(call)

    def reads(self, call: Callable[[], object]) -> list[int]:
        """Blocks of tables and indexes that each statement of the call reads, those of its triggers included."""
        counts: list[int] = []
        before = 0

        def fetched(cursor: Any) -> int:
            other = cursor.connection.cursor()
            # Nothing is reported, and so counted from 0 again, until the statement has ended.
            row = other.execute(_FETCHED).fetchone()
            return int(row[0])

        def begin(_connection: Any, cursor: Any, *_: Any) -> None:
            nonlocal before
            before = fetched(cursor)

        def end(_connection: Any, cursor: Any, *_: Any) -> None:
            counts.append(fetched(cursor) - before)

        engine = self.shop.db.engine
        event.listen(engine, "before_cursor_execute", begin)
        event.listen(engine, "after_cursor_execute", end)
        try:
            call()
        finally:
            event.remove(engine, "before_cursor_execute", begin)
            event.remove(engine, "after_cursor_execute", end)
        return counts

    def rows_scanned(self) -> int:
        """Rows of large tables that were read without an index so far."""
        names = sql.SQL(", ").join(map(sql.Literal, LARGE_TABLES))
        return self._sum(
            sql.SQL("SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE relname IN ({})").format(names)
        )

    def _sum(self, query: LiteralString | sql.Composed) -> int:
        # The pool's connection reports its reads when it is asked to.
        with self.shop.db.read() as connection:
            connection.execute(select(func.pg_stat_force_next_flush()))
        # What this connection itself has read, such as the rows above, would be reported at any later moment.
        self.connection.execute("SELECT pg_stat_force_next_flush()")
        row = self.connection.execute(query).fetchone()
        assert row is not None
        return int(row[0])


def take(crowded: Crowded) -> None:
    take_shards(crowded.shop.db, depth=1, shard_size=8, publish_timeout_s=0)


def work(crowded: Crowded) -> None:
    """One image from lease to end."""
    db = crowded.shop.db
    only = ImageFilter(state=ImageState.QUEUED)
    queued = list_images(db, crowded.shop.tenant, crowded.job_id, limit=2, after=None, only=only)
    ids = [image.id for image in queued]
    token, leased = lease_images(db, ids, worker="w", lease_s=60)
    assert len(leased) == 2
    heartbeat(db, token, lease_s=60, progress={ids[0]: (1, 2)})
    release_images(db, token, ids[1:])
    assert finish_images(db, token, [succeeded(ids[0])], max_attempts=3) == {ids[0]}


def cancel(crowded: Crowded) -> None:
    cancel_job(crowded.shop.db, crowded.shop.tenant, crowded.shop.submit(1).id)


def redo(crowded: Crowded) -> None:
    """Submits images of the large job again, cancels and deletes that."""
    db, tenant, parent = crowded.shop.db, crowded.shop.tenant, ended_job(LARGE)
    ids = [image.id for image in list_images(db, tenant, parent, limit=5, after=100)]
    mask = BoxesMask(boxes=[(0, 0, 9, 9)])
    child = redo_images(db, tenant, parent, Redo(image_ids=ids, mask=mask), most=5).made
    cancel_job(db, tenant, child.id)
    delete_job(db, tenant, child.id)


def review(crowded: Crowded) -> None:
    """Judges a page of results."""
    db, tenant = crowded.shop.db, crowded.shop.tenant
    page = list_results(db, tenant, ended_job(LARGE), limit=JUDGED, after=2000).results
    assert len(review_images(db, tenant, [result.id for result in page], ImageReview.KEPT, None)) == len(page)


def delete_ended(crowded: Crowded) -> None:
    """Deletes one of the ended jobs, with its images."""
    delete_job(crowded.shop.db, crowded.shop.tenant, ended_job(crowded.next_deleted))
    crowded.next_deleted += 1


def _found(crowded: Crowded, job: JobFilter | None = None, **conditions: Any) -> object:
    only = ImageFilter(**conditions)
    return find_images(crowded.shop.db, crowded.shop.tenant, limit=50, after=None, job=job or JobFilter(), image=only)


def _deliveries(crowded: Crowded, **conditions: Any) -> object:
    shop = crowded.shop
    return list_deliveries(shop.db, shop.tenant, crowded.endpoint_id, limit=50, after=None, **conditions)


def _images(crowded: Crowded, job_id: str, **conditions: Any) -> object:
    only = ImageFilter(**conditions)
    return list_images(crowded.shop.db, crowded.shop.tenant, job_id, limit=50, after=None, only=only)


Call = Callable[[Crowded], object]

#: Calls of each tick, each shard and each request that follows a job.
HOT: dict[str, Call] = {
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
    "ended job": lambda crowded: get_job(crowded.shop.db, crowded.shop.tenant, ended_job(LARGE)),
    "jobs": lambda crowded: list_jobs(crowded.shop.db, crowded.shop.tenant, limit=50, after=None),
    "open jobs": lambda crowded: look_since(crowded.shop.db, crowded.shop.tenant, datetime.now(UTC)),
    "jobs by state": lambda crowded: list_jobs(
        crowded.shop.db, crowded.shop.tenant, limit=50, after=None, only=JobFilter(state=JobState.RUNNING)
    ),
    "page of images": lambda crowded: list_images(
        crowded.shop.db, crowded.shop.tenant, crowded.job_id, limit=50, after=10
    ),
    "page of results": lambda crowded: list_results(
        crowded.shop.db, crowded.shop.tenant, ended_job(LARGE), limit=500, after=5000
    ),
    "image that was done again": lambda crowded: get_image(
        crowded.shop.db, crowded.shop.tenant, ended_image(LARGE, 50)
    ),
    "review": review,
    "outbox": lambda crowded: relay_events(crowded.shop.db),
    "deliveries": lambda crowded: claim_deliveries(crowded.shop.db, limit=16, claim_s=0.0, each=4),
    "sweep": lambda crowded: (
        expired_jobs(crowded.shop.db),
        cancel_repairs_without_mark(crowded.shop.db),
        drop_templates_of_ended_repairs(crowded.shop.db),
        drop_expired_uploads(crowded.shop.db),
        drop_old_deliveries(crowded.shop.db, 1e6),
    ),
    "cancel": cancel,
    "quotas": lambda crowded: get_usage(crowded.shop.db, crowded.shop.tenant),
    "usage of a month": lambda crowded: list_account(
        crowded.shop.db, crowded.shop.tenant, today(crowded.shop.db) - timedelta(days=30), today(crowded.shop.db)
    ),
    "flow": lambda crowded: (note_waiting(crowded.shop.db, 7), recent_flow(crowded.shop.db, steps=96, minutes=15)),
    "accounts and chain": lambda crowded: (fold_accounts(crowded.shop.db), chain(crowded.shop.db)),
}
#: Calls that people make now and then.
RARE: dict[str, Call] = {
    "images by error": lambda crowded: _images(crowded, ended_job(LARGE), error_code="image_truncated"),
    "images by an error that none has": lambda crowded: _images(crowded, ended_job(LARGE), error_code="no_such_code"),
    "images by state": lambda crowded: _images(crowded, ended_job(LARGE), state=ImageState.FAILED),
    "images by a state that none has": lambda crowded: _images(crowded, ended_job(LARGE), state=ImageState.CANCELED),
    "images by doubt": lambda crowded: list_images_by_doubt(
        crowded.shop.db,
        crowded.shop.tenant,
        ended_job(LARGE),
        limit=50,
        after=Doubted(1, 500),
        only=ImageFilter(state=ImageState.SUCCEEDED),
    ),
    "overview": lambda crowded: overview(crowded.shop.db, crowded.shop.tenant, ended_job(LARGE)),
    "queues": lambda crowded: (queues(crowded.shop.db, None), busy_workers(crowded.shop.db)),
    "deliveries by state": lambda crowded: _deliveries(crowded, state=DeliveryState.FAILED),
    "deliveries of a job": lambda crowded: _deliveries(crowded, job_id=ended_job(LARGE)),
    "deliveries by event": lambda crowded: _deliveries(crowded, event="job.completed"),
    "deliveries by kind of event": lambda crowded: _deliveries(crowded, event="template.*"),
    "recover deliveries": lambda crowded: recover(
        crowded.shop.db, crowded.shop.tenant, crowded.endpoint_id, since=None, after=None
    ),
    "images that a person rejected": lambda crowded: _images(crowded, ended_job(LARGE), review=ImageReview.REJECTED),
    "images of all jobs by state": lambda crowded: _found(crowded, state=ImageState.FAILED),
    "images of all jobs by an error that none has": lambda crowded: _found(crowded, error_code="no_such_code"),
    "images of all jobs by custom id": lambda crowded: _found(crowded, custom_id="none"),
    "images of all jobs by hash": lambda crowded: _found(crowded, sha256="0" * 64),
    "redo five images": redo,
    "pace": lambda crowded: recent_pace(crowded.shop.db, crowded.shop.tenant),
    "ends of the audit log": lambda crowded: heads(crowded.shop.db),
    "two pages of the audit log": lambda crowded: list(islice(chained_entries(crowded.shop.db), 1001)),
    "audit log": lambda crowded: latest_entries(crowded.shop.db, crowded.shop.tenant, limit=50),
    "audit log without images": lambda crowded: find_entries(
        crowded.shop.db, crowded.shop.tenant, EntryFilter(subject="job"), limit=50
    ),
    "audit log of a job": lambda crowded: entries_of_job(crowded.shop.db, crowded.job_id),
    "audit log of a tenant without entries": lambda crowded: latest_entries(crowded.shop.db, "tnt_none", limit=50),
    "delete a job of 500 images": delete_ended,
}
#: Calls that no index serves: they read a job's images, or a tenant's jobs.
SEARCHES: dict[str, Call] = {
    "images of a job by words that none has": lambda crowded: _images(crowded, ended_job(LARGE), words="nowhere"),
    "jobs of a day that had none": lambda crowded: list_jobs(
        crowded.shop.db,
        crowded.shop.tenant,
        limit=50,
        after=None,
        only=JobFilter(created_before=datetime.now(UTC) - timedelta(days=365)),
    ),
    "jobs by a label that none has": lambda crowded: list_jobs(
        crowded.shop.db, crowded.shop.tenant, limit=50, after=None, only=JobFilter(labels=["none"])
    ),
}
