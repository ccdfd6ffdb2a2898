"""The metrics, by the process that reports them. Names follow Prometheus: base units, ``_total`` for counters.

The first import decides where the values are kept: see ``metrics``.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

# The API.
HTTP_SECONDS = Histogram(
    "cleanplate_http_request_duration_seconds",
    "Time from a request's first line to its answer, by the route's rule.",
    ["method", "route", "status"],
    buckets=_SECONDS,
)
JOBS_SUBMITTED = Counter("cleanplate_jobs_submitted", "Jobs accepted.", ["priority"])
IMAGES_SUBMITTED = Counter("cleanplate_images_submitted", "Images in the jobs accepted.", ["priority"])

# The dispatcher: figures of the whole service, reported by the leader.
LEADS = Gauge("cleanplate_dispatcher_leads", "1 where this dispatcher leads, 0 where it stands by.")
IMAGES_QUEUED = Gauge("cleanplate_images_queued", "Queued images, without paused ones.", ["priority"])
IMAGES_RUNNING = Gauge("cleanplate_images_running", "Images that workers have leased.", ["priority"])
IMAGES_PAUSED = Gauge("cleanplate_images_paused", "Queued images of paused jobs.")
OLDEST_SECONDS = Gauge(
    "cleanplate_oldest_image_age_seconds", "Age of the oldest queued image, from its submission.", ["priority"]
)
DRAIN_SECONDS = Gauge(
    "cleanplate_drain_seconds", "Time to drain the backlog at the current rate; infinite while no image ends."
)
PACE = Gauge("cleanplate_images_ended_per_second", "Images ended per second, over the last half minute.")
BUSY_WORKERS = Gauge("cleanplate_busy_workers", "Worker processes that have leased images.")
IMAGES_UNDER_WAY = Gauge("cleanplate_queue_images", "Images published and not leased yet.")
QUEUE_DEPTH = Gauge(
    "cleanplate_queue_depth_images", "Target queue depth: images of a priority to keep published and not leased."
)
SHARDS_PUBLISHED = Counter("cleanplate_shards_published", "Shards put into the queue.", ["queue"])
LEASES_REAPED = Counter("cleanplate_leases_reaped", "Expired leases, by what follows.", ["outcome"])
IMAGES_LATE = Counter("cleanplate_images_late", "Images that failed because their deadline passed.")
WORK = Counter(
    "cleanplate_account_work",
    "Work in the tenants' accounts: images with a result, their pixels and bytes, milliseconds of devices.",
    ["tenant", "kind"],
)
TICK_SECONDS = Histogram(
    "cleanplate_dispatcher_tick_seconds", "Duration of one round of the dispatcher.", buckets=_SECONDS
)
WEBHOOK_SECONDS = Histogram(
    "cleanplate_webhook_attempt_duration_seconds",
    "Duration of an attempt at a webhook, by the delivery's state after it.",
    ["event_type", "outcome"],
    buckets=_SECONDS,
)

# A worker.
IMAGES_ENDED = Counter("cleanplate_images_ended", "Images ended under a lease of this worker.", ["state", "code"])
IMAGES_RETRIED = Counter(
    "cleanplate_images_retried", "Images returned to the queue for another attempt, by cause.", ["code"]
)
LEASES_LOST = Counter("cleanplate_leases_lost", "Images whose outcome was dropped, because the lease had expired.")
STAGE_SECONDS = Histogram(
    "cleanplate_stage_duration_seconds", "Time of an image in a stage of the pipeline.", ["stage"], buckets=_SECONDS
)
BATCH_TILES = Histogram(
    "cleanplate_batch_tiles", "Mean batch size in tiles, over a shard.", buckets=(1, 2, 4, 8, 16, 32, 64)
)
DEVICE_SECONDS = Counter("cleanplate_device_seconds", "Time that a device spends on shards.", ["use"])
SHARDS_DONE = Counter("cleanplate_shards_done", "Shards that this worker finished.")
