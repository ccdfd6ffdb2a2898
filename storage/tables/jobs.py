"""Jobs, their images, and the attempts at them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from storage.records.states import ImageReview, ImageState, JobKind, JobState, PausedBy, Priority
from storage.tables.columns import ID, JSON_DOCUMENT, SERIAL, Word, metadata, partial_index, state_check, time_column

#: A job that has not ended.
_OPEN = "state IN ('estimating', 'needs_review', 'queued', 'running')"

jobs = Table(
    "jobs",
    metadata,
    Column("id", ID, primary_key=True),
    Column("tenant_id", ID, ForeignKey("tenants.id"), nullable=False),
    Column("state", Word(JobState), nullable=False),
    # Rows of before 0020 are all `catalogue`.
    Column("kind", Word(JobKind), nullable=False, server_default="catalogue"),
    # For people and for the tenant's own programs. Empty: none.
    Column("name", String(200)),
    Column("labels", JSON_DOCUMENT),
    Column("metadata", JSON_DOCUMENT),
    # The job whose images it does again, and whether its results replace theirs. No foreign key: it may be deleted.
    Column("parent_job_id", ID),
    Column("replaces", Boolean, nullable=False, server_default=text("false")),
    # The API key that submitted it. Empty: not submitted over the API, or before 0020. No foreign key: no lock.
    Column("key_id", ID),
    # Where its results are written beside the service's store. Empty: nowhere.
    Column("destination", JSON_DOCUMENT),
    Column("options", JSON_DOCUMENT, nullable=False),
    # Of images without their own: see cleanplate/base/masks.py. Empty: each image has its own.
    Column("mask", JSON_DOCUMENT),
    # Of a job whose mark is estimated: the templates found, or an error. Empty until the estimate ends.
    Column("review", JSON_DOCUMENT),
    Column("priority", Word(Priority), nullable=False, server_default="bulk"),
    # Images that still wait for a worker at this time fail. Empty: no deadline.
    time_column("deadline"),
    Column("webhook_endpoint_id", ID, ForeignKey("webhook_endpoints.id")),
    # Ids of further endpoints, as of its submission; some may have been deleted since. Empty: none.
    Column("further_webhooks", JSON_DOCUMENT),
    # The address that is told of its end and of its review, the language, and the fate of the last mail. Empty: none.
    Column("mail", JSON_DOCUMENT),
    # Empty for jobs that were submitted before the API required it.
    Column("rights_basis", String(20)),
    Column("attested_by", String(200)),
    Column("rights_reference", String(500)),
    # W3C traceparent of its submission. Empty: not traced.
    Column("trace", String(60)),
    # Seconds from its end to its deletion, and the time of the deletion. Empty: never.
    Column("retention_s", Integer),
    time_column("expires_at"),
    Column("total", Integer, nullable=False),
    # Rows of its manifest that were skipped.
    Column("rows_skipped", Integer, nullable=False, server_default="0"),
    # Folded counts. Later changes are rows of job_deltas; the sum of both is exact at every moment.
    Column("queued", Integer, nullable=False, server_default="0"),
    Column("running", Integer, nullable=False, server_default="0"),
    Column("succeeded", Integer, nullable=False, server_default="0"),
    Column("skipped", Integer, nullable=False, server_default="0"),
    Column("failed", Integer, nullable=False, server_default="0"),
    Column("canceled", Integer, nullable=False, server_default="0"),
    Column("tiles_done", BigInteger, nullable=False, server_default="0"),
    # When the dispatcher last took a shard of it: the job with the longest wait is next.
    time_column("dispatched_at"),
    time_column("created_at", nullable=False),
    time_column("started_at"),
    time_column("finished_at"),
    state_check(JobState),
    Index("ix_jobs_tenant_id_id", "tenant_id", "id"),
    Index("ix_jobs_tenant_id_state_id", "tenant_id", "state", "id"),
    Index("ix_jobs_tenant_id_finished_at", "tenant_id", "finished_at"),
    partial_index(
        "ix_jobs_open_of_tenant",
        "tenant_id",
        "id",
        where=_OPEN,
    ),
    partial_index(
        "ix_jobs_expires_at",
        "expires_at",
        where="expires_at IS NOT NULL",
    ),
    partial_index("ix_jobs_queued", "id", where="state = 'queued'"),
    # An endpoint that is deleted leaves its jobs.
    partial_index(
        "ix_jobs_webhook_endpoint_id",
        "webhook_endpoint_id",
        where="webhook_endpoint_id IS NOT NULL",
    ),
    # Open jobs alone: those that have ended keep their deadline.
    partial_index(
        "ix_jobs_open_deadline",
        "deadline",
        where=_OPEN,
    ),
    partial_index(
        "ix_jobs_open",
        "dispatched_at",
        where=_OPEN,
    ),
)
# Subjects that no worker may begin: a job's id, a tenant's id, or `everything`. Hence no foreign key.
pauses = Table(
    "pauses",
    metadata,
    Column("subject", ID, primary_key=True),
    # `operator` or `tenant`: a tenant cannot resume what the operator has paused.
    Column("paused_by", Word(PausedBy), nullable=False),
    time_column("at", nullable=False),
)
job_deltas = Table(
    "job_deltas",
    metadata,
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    Column("job_id", ID, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("queued", Integer, nullable=False, server_default="0"),
    Column("running", Integer, nullable=False, server_default="0"),
    Column("succeeded", Integer, nullable=False, server_default="0"),
    Column("skipped", Integer, nullable=False, server_default="0"),
    Column("failed", Integer, nullable=False, server_default="0"),
    Column("canceled", Integer, nullable=False, server_default="0"),
    Column("tiles_done", Integer, nullable=False, server_default="0"),
)
images = Table(
    "images",
    metadata,
    Column("id", ID, primary_key=True),
    Column("job_id", ID, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("tenant_id", ID, nullable=False),
    Column("position", Integer, nullable=False),
    Column("name", String(255), nullable=False),
    # Where it lies in the tenant's folders, with its file name; parts are separated by slashes. Empty: not stated.
    Column("path", String(1024)),
    # Its name in the tenant's own system.
    Column("custom_id", String(200)),
    # Of the tenant. Empty: none.
    Column("metadata", JSON_DOCUMENT),
    # A person's judgement of its result.
    Column("review", Word(ImageReview), nullable=False, server_default="unseen"),
    Column("review_note", String(1000)),
    # The image of the parent job that it does again. No foreign key: it may be deleted.
    Column("redo_of", ID),
    Column("state", Word(ImageState), nullable=False),
    # Blank where the picture comes from a URL.
    Column("source_key", String(300), nullable=False),
    # https:// or s3://. Empty: the picture is under its key.
    Column("source_url", String(2000)),
    # Blank where the mask is not a file.
    Column("mask_key", String(300), nullable=False),
    # Its own mask: see cleanplate/base/masks.py. Empty: the job's.
    Column("mask", JSON_DOCUMENT),
    # Its own options, which win over the job's. Empty: none.
    Column("options", JSON_DOCUMENT),
    Column("result_key", String(300)),
    # SHA-256 of the result's file, in hexadecimal. Empty: no result, or one of before 0020.
    Column("result_sha256", String(64)),
    # Size and CRC-32 of that file. Empty: no result, or one of before 0021.
    Column("result_bytes", BigInteger),
    Column("result_crc32", BigInteger),
    # Where the worker has written it as well. Empty: nowhere.
    Column("destination_url", String(2000)),
    Column("content_type", String(100)),
    Column("width", Integer),
    Column("height", Integer),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("lease_token", String(40)),
    time_column("lease_expires_at"),
    # When it was last put into a message. Empty: not in the queue.
    time_column("published_at"),
    # Not before this time (after a transient failure).
    time_column("available_at", nullable=False),
    Column("tiles_done", Integer, nullable=False, server_default="0"),
    Column("tiles_total", Integer),
    Column("error_code", String(60)),
    Column("error_detail", Text),
    Column("record", JSON_DOCUMENT, nullable=False),
    # How much a person should look at its result (storage/ledger/images/doubt.py). Of before 0027: 0.
    Column("doubt", Integer, nullable=False, server_default="0"),
    time_column("created_at", nullable=False),
    time_column("started_at"),
    time_column("finished_at"),
    state_check(ImageState),
    UniqueConstraint("job_id", "position"),
    partial_index(
        "ix_images_published",
        "published_at",
        where="state = 'queued' AND published_at IS NOT NULL",
    ),
    partial_index(
        "ix_images_leased",
        "lease_expires_at",
        where="state = 'running'",
    ),
    partial_index(
        "ix_images_lease_token",
        "lease_token",
        where="lease_token IS NOT NULL",
    ),
    # Pages of a job's images by state. Without running ones: each heartbeat would write it.
    partial_index(
        "ix_images_of_state",
        "job_id",
        "state",
        "position",
        where="state <> 'running'",
    ),
    partial_index(
        "ix_images_failed",
        "job_id",
        "error_code",
        "position",
        where="state = 'failed'",
    ),
    # Those that a person has judged.
    partial_index(
        "ix_images_judged",
        "job_id",
        "review",
        "position",
        where="review <> 'unseen'",
    ),
    # Which job made this file; where is this product.
    partial_index(
        "ix_images_result_sha256",
        "tenant_id",
        "result_sha256",
        where="result_sha256 IS NOT NULL",
    ),
    partial_index(
        "ix_images_custom_id",
        "tenant_id",
        "custom_id",
        where="custom_id IS NOT NULL",
    ),
    partial_index(
        "ix_images_redo_of",
        "redo_of",
        where="redo_of IS NOT NULL",
    ),
)

# The order in which a job's images are published: retries come first.
partial_index(
    "ix_images_queued",
    images.c.job_id,
    images.c.attempt.desc(),
    images.c.available_at,
    images.c.id,
    where="state = 'queued'",
)
# A job's results for a person who judges them: the doubtful ones first.
partial_index(
    "ix_images_doubt",
    images.c.job_id,
    images.c.doubt.desc(),
    images.c.position,
    where="state = 'succeeded'",
)
# Rows of a manifest that are invalid and were skipped at the tenant's request.
skipped_rows = Table(
    "skipped_rows",
    metadata,
    Column("job_id", ID, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    # Line of the file, from 1.
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("custom_id", String(200)),
    # Empty in rows of before 0022.
    Column("code", String(60)),
    Column("detail", Text, nullable=False),
)
attempts = Table(
    "attempts",
    metadata,
    Column("image_id", ID, ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("worker", String(200), nullable=False),
    time_column("started_at", nullable=False),
    time_column("ended_at"),
    # succeeded, skipped, failed, canceled (with its job), or lost (the lease ran out).
    Column("outcome", String(12)),
    Column("code", String(60)),
    Column("detail", Text),
)
