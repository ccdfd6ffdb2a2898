"""The metrics themselves, by the service that tells them. Importing this decides where their numbers are kept: see
``metrics``. Names follow Prometheus: base units, ``_total`` for what only grows.
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

# The dispatcher: of the whole service, told by the one that leads.
LEADS = Gauge("cleanplate_dispatcher_leads", "1 where this dispatcher leads, 0 where it stands by.")
IMAGES_QUEUED = Gauge("cleanplate_images_queued", "Images that wait, paused ones left out.", ["priority"])
IMAGES_RUNNING = Gauge("cleanplate_images_running", "Images that workers hold.", ["priority"])
IMAGES_PAUSED = Gauge("cleanplate_images_paused", "Images that wait for a pause to end.")
OLDEST_SECONDS = Gauge(
    "cleanplate_oldest_image_age_seconds", "Since the submission of the oldest image that waits.", ["priority"]
)
DRAIN_SECONDS = Gauge(
    "cleanplate_drain_seconds", "Until the backlog is worked off at the present pace; infinite where nothing ends."
)
PACE = Gauge("cleanplate_images_ended_per_second", "Images that end per second, over the last half minute.")
BUSY_WORKERS = Gauge("cleanplate_busy_workers", "Worker processes that hold images.")
IMAGES_UNDER_WAY = Gauge("cleanplate_queue_images", "Images published and not leased yet.")
QUEUE_DEPTH = Gauge("cleanplate_queue_depth_images", "Images of a priority that are to be published and not leased.")
SHARDS_PUBLISHED = Counter("cleanplate_shards_published", "Shards put into the queue.", ["queue"])
LEASES_REAPED = Counter("cleanplate_leases_reaped", "Leases that ran out, by what follows.", ["outcome"])
IMAGES_LATE = Counter("cleanplate_images_late", "Images that failed because their deadline passed.")
TICK_SECONDS = Histogram("cleanplate_dispatcher_tick_seconds", "One look of the dispatcher.", buckets=_SECONDS)
WEBHOOK_SECONDS = Histogram(
    "cleanplate_webhook_attempt_duration_seconds",
    "An attempt at a webhook, by the delivery's state after it.",
    ["event_type", "outcome"],
    buckets=_SECONDS,
)

# A worker.
IMAGES_ENDED = Counter("cleanplate_images_ended", "Images ended under this worker's lease.", ["state", "code"])
IMAGES_RETRIED = Counter("cleanplate_images_retried", "Images given back for another attempt, by cause.", ["code"])
LEASES_LOST = Counter("cleanplate_leases_lost", "Images whose outcome no longer counted.")
STAGE_SECONDS = Histogram(
    "cleanplate_stage_duration_seconds", "An image's time in a stage of the pipeline.", ["stage"], buckets=_SECONDS
)
BATCH_TILES = Histogram(
    "cleanplate_batch_tiles", "Mean tiles in a pass of the network, over a shard.", buckets=(1, 2, 4, 8, 16, 32, 64)
)
DEVICE_SECONDS = Counter("cleanplate_device_seconds", "Time of a device while it has a shard.", ["use"])
SHARDS_DONE = Counter("cleanplate_shards_done", "Shards worked off by this worker.")
