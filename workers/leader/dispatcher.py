"""``cleanplate dispatch``: one leader keeps the queue short and filled, reaps leases and closes jobs.

The dispatcher marks a shard as published in the ledger, and then sends it to the broker. A shard that is lost between
the two, or in the broker, is published again: after ``LOST_S`` if the queue is empty, else after ``publish_timeout_s``.
Threads beside it deliver webhooks and sweep.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from itertools import groupby
from operator import attrgetter

import structlog
from celery import Celery
from kombu.exceptions import OperationalError

from cleanplate.base.settings import Settings
from cleanplate.telemetry import meters, metrics, tracing
from storage.audit_heads import audit_key
from storage.blobs import open_blobs
from storage.database import Database
from storage.errors import LedgerUnavailable
from storage.leader import Leadership, leadership
from storage.ledger.images.deadlines import DEADLINE_PASSED, fail_late_images
from storage.ledger.images.dispatch import overtaken_after, read_backlog, take_shards
from storage.ledger.images.pending_work import PendingWork, pending_work
from storage.ledger.images.reaper import WORKER_LOST, Reaped, close_jobs, fold_deltas, reap_leases
from storage.ledger.jobs.pauses import recall_paused
from storage.ledger.jobs.traces import trace_contexts
from storage.ledger.operations import audit
from storage.ledger.operations.devices import forget_devices
from storage.ledger.story import log_images
from storage.ledger.templates.leases import reap_templates, take_templates
from storage.ledger.tenants import idempotency
from storage.ledger.tenants.accounts import fold_accounts
from storage.records import ImageOfJob, Shard
from workers.leader.pace import Pace
from workers.leader.sweeper import Sweeper
from workers.leader.webhook_delivery import WebhookSender
from workers.shared.queue import make_celery, prepare_queue, publish_shard, publish_template, waiting_messages
from workers.shared.stopping import StopSignal

log = structlog.get_logger(__name__)

#: Longest pause while the ledger or the broker is unavailable, in seconds.
LONGEST_PAUSE_S = 5.0
#: Seconds between two readings of the backlog for the metrics.
BACKLOG_S = 5.0
#: Seconds between two foldings of counts, and two links of the audit's chains. No user waits for either.
FOLD_S = 2.0
#: Seconds between two deletions of old idempotent answers and device reports.
FORGET_S = 60.0
#: Seconds after which published images that are neither in the queue nor leased count as lost.
LOST_S = 5.0
#: Number of heartbeats that a worker must have missed while the ledger was up before its lease is reaped. After a time
#: without ticks that may have hidden them, expired leases are left alone for so many. It is small, so that the death of
#: a worker together with the dispatcher still costs less than half a minute.
HEARTBEATS_HEARD = 2


class Dispatcher:
    """The work of the leader at each tick. Every step may be repeated, and the process may die between any two."""

    def __init__(
        self, database: Database, celery: Celery, settings: Settings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._celery = celery
        self._settings = settings
        self._clock = clock
        #: Shards marked as published and not sent yet, each with the time at which the ledger hands it out again.
        self._unsent: deque[tuple[float, Shard]] = deque()
        self._pace = Pace(settings, clock)
        self._audit_key = audit_key(settings)
        self._measured_at = self._folded_at = self._forgot_at = self._looked_at = -math.inf
        #: Images that were published and not leased at the last tick.
        self._under_way = 0
        #: Interactive shards published since the last bulk shard among them.
        self._overtaken = 0
        #: End of the last whole tick, and the time from which leases are reaped.
        self._ticked_at = -math.inf
        self._reaps_from = -math.inf

    def tick(self) -> None:
        """Do everything that is due, once.

        Raises:
            LedgerUnavailable, OperationalError: the ledger or the broker is unavailable; tick again later.
        """
        self._delay_reaping_after_outage()
        pending = pending_work(self._database)
        self._update_ledger(pending)
        self._measure_backlog()
        self._send()
        publish_timeout_s = self._publish_timeout(pending)
        if pending.template:
            self._send_templates(publish_timeout_s)
        taken_at = self._clock()
        taken = take_shards(
            self._database,
            depth=self._pace.depth,
            shard_size=self._settings.shard_size,
            publish_timeout_s=publish_timeout_s,
            overtaken=self._overtaken,
        )
        self._under_way = taken.under_way
        meters.IMAGES_UNDER_WAY.set(taken.under_way + sum(len(shard.image_ids) for shard in taken.shards))
        meters.QUEUE_DEPTH.set(self._pace.depth * self._settings.shard_size)
        self._overtaken = overtaken_after(taken.shards, self._overtaken)
        self._pace.count_published(len(taken.shards), under_way=taken.under_way)
        self._unsent.extend((taken_at + self._settings.publish_timeout_s, shard) for shard in taken.shards)
        self._send()
        self._ticked_at = self._clock()

    def _delay_reaping_after_outage(self) -> None:
        """After a long time without ticks, wait for the heartbeats of living workers before reaping.

        The outage that kept the ticks away kept the heartbeats away too: it must not cost every running image an
        attempt, nor throw a template's estimate away. After a short time nothing is left alone: a lease that has
        expired by now was silent for ``HEARTBEATS_HEARD`` already when the ticks stopped.
        """
        settings = self._settings
        heard_s = HEARTBEATS_HEARD * settings.heartbeat_s
        borne_s = max(settings.lease_s - heard_s, settings.heartbeat_s + settings.dispatch_interval_s)
        if self._clock() > self._ticked_at + borne_s:
            self._reaps_from = self._clock() + heard_s

    def _update_ledger(self, pending: PendingWork) -> None:
        max_attempts = self._settings.max_attempts
        reaped, late = Reaped(), []
        reaps = self._clock() >= self._reaps_from
        if pending.silent and reaps:
            reaped = reap_leases(self._database, max_attempts=max_attempts)
        for outcome, reaped_images in (("requeued", reaped.requeued), ("failed", reaped.failed)):
            meters.LEASES_REAPED.labels(outcome).inc(len(reaped_images))
            _log_images(log.warning, f"images.{outcome}", reaped_images, reason=WORKER_LOST)
        if pending.silent_template and reaps:
            for template_id in reap_templates(self._database, max_attempts=max_attempts):
                log.warning("template.reaped", template=template_id)
        if pending.paused:
            _log_images(log.info, "images.recalled", recall_paused(self._database))
        if pending.late:
            late = fail_late_images(self._database)
        meters.IMAGES_LATE.inc(len(late))
        _log_images(log.warning, "images.failed", late, reason=DEADLINE_PASSED)
        if pending.finished or reaped.failed or late:
            for job_id in close_jobs(self._database):
                log.info("job.completed", job=job_id)
        now = self._clock()
        if now >= self._folded_at + FOLD_S:
            self._folded_at = now
            self._pace.count_ended(fold_deltas(self._database).ended)
            audit.chain(self._database, self._audit_key)
            for tenant_id, work in fold_accounts(self._database).items():
                for kind, amount in vars(work).items():
                    meters.WORK.labels(tenant_id, kind).inc(amount)
        if now >= self._forgot_at + FORGET_S:
            self._forgot_at = now
            idempotency.forget_old_answers(self._database)
            forget_devices(self._database)

    def _measure_backlog(self) -> None:
        """Set the metrics that autoscalers use; rarely, because it reads all open jobs."""
        if not self._settings.metrics_port or self._clock() < self._measured_at + BACKLOG_S:
            return
        self._measured_at = self._clock()
        backlog = read_backlog(self._database)
        for priority, waiting in backlog.waiting.items():
            meters.IMAGES_QUEUED.labels(priority.value).set(waiting.queued)
            meters.IMAGES_RUNNING.labels(priority.value).set(waiting.running)
            meters.OLDEST_SECONDS.labels(priority.value).set(waiting.oldest_s)
        pace = self._pace.images_per_second
        unfinished = backlog.queued + backlog.running
        meters.IMAGES_PAUSED.set(backlog.paused)
        meters.BUSY_WORKERS.set(backlog.busy_workers)
        meters.PACE.set(pace)
        meters.DRAIN_SECONDS.set(unfinished / pace if pace else math.inf if unfinished else 0)

    def _send(self) -> None:
        traces = trace_contexts(self._database, {shard.job_id for _, shard in self._unsent}) if tracing.on() else {}
        while self._unsent:
            until, shard = self._unsent[0]
            if self._clock() < until:
                trace, images = traces.get(shard.job_id), len(shard.image_ids)
                with tracing.span("shard.publish", trace, job=shard.job_id, images=images, queue=shard.queue.value):
                    publish_shard(self._celery, shard.image_ids, shard.queue)
                meters.SHARDS_PUBLISHED.labels(shard.queue.value).inc()
                log.debug("shard.published", job=shard.job_id, images=shard.image_ids, queue=shard.queue.value)
            self._unsent.popleft()

    def _publish_timeout(self, pending: PendingWork) -> float:
        """Seconds after which published work that no worker has leased is published again.

        Few while the queue is empty: a message that is neither there nor leased was lost. The repeated messages fill
        the queue, so that they are not repeated again before workers have taken them.
        """
        usual = self._settings.publish_timeout_s
        if not (self._under_way or pending.template) or self._clock() < self._looked_at + LOST_S / 2:
            return usual
        self._looked_at = self._clock()
        return usual if waiting_messages(self._celery) else min(LOST_S, usual)

    def _send_templates(self, publish_timeout_s: float) -> None:
        """Publish waiting templates. One that is marked and not sent is published again after ``publish_timeout_s``."""
        for template_id, queue in take_templates(self._database, publish_timeout_s=publish_timeout_s):
            publish_template(self._celery, template_id, queue)
            log.info("template.published", template=template_id, queue=queue.value)

    def begin(self, unled_s: float) -> None:
        """This process leads from now on; ``unled_s``: seconds for which perhaps nobody led before it."""
        self._ticked_at = self._clock() - unled_s
        if self._audit_key is None:
            log.warning("audit.without_key", variable="CLEANPLATE_AUDIT_KEY")
        else:
            audit.key_ends(self._database)

    def forget(self) -> None:
        """Drop everything known: another dispatcher leads now, and sends the shards that were not sent."""
        self._unsent.clear()
        self._pace.reset()
        self._ticked_at = -math.inf
        self._under_way = 0


def _log_images(write: Callable[..., object], event: str, images: list[ImageOfJob], **facts: str) -> None:
    """Log the ids of all images, by job."""
    for job_id, of_job in groupby(sorted(images), key=attrgetter("job_id")):
        log_images(write, event, [image.image_id for image in of_job], job=job_id, **facts)


def run(settings: Settings) -> int:
    """Dispatch, deliver and sweep until SIGTERM or SIGINT; returns 0 then."""
    prepare_queue(settings)
    tracing.configure(settings, "dispatcher")
    database = Database.connect(settings.sqlalchemy_url)
    celery = make_celery(settings, consumes=False)
    try:
        with ExitStack() as running:
            stop = running.enter_context(StopSignal())
            running.enter_context(WebhookSender(database, settings))
            kept_s = settings.retention_s(None)
            running.enter_context(Sweeper(database, open_blobs(settings), deliveries_kept_s=kept_s))
            running.enter_context(metrics.shown(settings, metrics.DISPATCHER))
            leader = running.enter_context(leadership(database, settings))
            _lead(stop, leader, Dispatcher(database, celery, settings), settings.dispatch_interval_s)
    finally:
        celery.close()
        database.close()
        tracing.close()
    log.info("dispatcher.stopped")
    return 0


def _lead(stop: StopSignal, leader: Leadership, dispatcher: Dispatcher, interval_s: float) -> None:
    led: bool | None = None
    pause = 0.0
    while not stop.wait(pause):
        try:
            leads = leader.held()
            if leads != led:
                log.info("dispatcher.leads" if leads else "dispatcher.stands_by")
                if leads:
                    dispatcher.begin(leader.unled_s)
                led = leads
            meters.LEADS.set(leads)
            if leads:
                with meters.TICK_SECONDS.time():
                    dispatcher.tick()
            else:
                dispatcher.forget()
            pause = interval_s
        except (LedgerUnavailable, OperationalError) as error:
            pause = min(max(pause, interval_s) * 2, LONGEST_PAUSE_S)
            log.warning("dispatcher.waits", error=f"{type(error).__name__}: {error}", again_in=pause)
        except Exception:
            pause = min(max(pause, interval_s) * 2, LONGEST_PAUSE_S)
            log.exception("dispatcher.failed", again_in=pause)
