"""A clock that tests move, and a shop that submits jobs, for the tests of the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select

from cleanplate.base.image_records import ImageRecord
from cleanplate.base.masks import FileMask
from cleanplate.base.options import JobOptions
from storage.database import Database
from storage.ledger.jobs.reading import get_image, get_job, list_images
from storage.ledger.jobs.submission import submit_job
from storage.ledger.tenants.uploads import create_uploads
from storage.ledger.webhooks.relay import relay_events
from storage.records import Counts, Image, ImageState, Job, NewImage, NewJob, Outcome, Priority, Rights, RightsBasis
from storage.tables import images, webhook_deliveries

RIGHTS = Rights(basis=RightsBasis.OWNER, attested_by="Jo Doe", reference="own photographs")


class Clock:
    """A clock that only tests move."""

    def __init__(self) -> None:
        self.time = datetime(2026, 5, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@dataclass
class Shop:
    """A tenant, with short forms of its users' actions."""

    db: Database
    tenant: str

    def submit(self, images: int = 3, **fields: Any) -> Job:
        return submit_job(self.db, self.tenant, self.new_job(images, **fields))

    def new_job(
        self,
        images: int,
        *,
        webhook: str | None = None,
        sizes: list[int | None] | None = None,
        retention_s: int | None = None,
        priority: Priority = Priority.BULK,
        deadline: datetime | None = None,
        **fields: Any,
    ) -> NewJob:
        """Create uploads and return an unsubmitted job of them; ``sizes`` are those of the images and the mask."""
        files = [(f"{n}.jpg", "image/jpeg") for n in range(images)]
        files.append(("mask.png", "image/png"))
        uploads = create_uploads(self.db, self.tenant, files, expires_in_s=3600, sizes=sizes)
        return NewJob(
            images=[NewImage(name=upload.filename, source_upload_id=upload.id) for upload in uploads[:-1]],
            mask=FileMask(upload_id=uploads[-1].id),
            options=JobOptions(dilation_px=4),
            rights=RIGHTS,
            webhook_endpoint_id=webhook,
            retention_s=retention_s,
            priority=priority,
            deadline=deadline,
            **fields,
        )

    def job(self, job_id: str) -> Job:
        return get_job(self.db, self.tenant, job_id)

    def image(self, image_id: str) -> Image:
        return get_image(self.db, self.tenant, image_id)

    def images(self, job_id: str) -> list[Image]:
        return list_images(self.db, self.tenant, job_id, limit=200_000, after=None)

    def image_ids(self, job_id: str) -> list[str]:
        return [image.id for image in self.images(job_id)]

    def count_images(self, job_id: str) -> Counts:
        """The counts of a job, from the states of its images."""
        query = select(images.c.state, func.count()).where(images.c.job_id == job_id).group_by(images.c.state)
        with self.db.read() as connection:
            return Counts(**{row[0]: row[1] for row in connection.execute(query)})

    def events(self, job_id: str) -> list[dict[str, object]]:
        """Relay the outbox; the payloads of all events of a job, in the order of writing."""
        relay_events(self.db)
        query = (
            select(webhook_deliveries.c.payload)
            .where(webhook_deliveries.c.job_id == job_id)
            .order_by(webhook_deliveries.c.id)
        )
        with self.db.read() as connection:
            return list(connection.scalars(query))


def succeeded(image_id: str, *, tiles: int = 1) -> Outcome:
    """The outcome that a worker reports for a repaired image."""
    return Outcome(
        image_id=image_id,
        state=ImageState.SUCCEEDED,
        result_key=f"results/{image_id}",
        content_type="image/jpeg",
        width=640,
        height=480,
        tiles_done=tiles,
        record=ImageRecord(method="inpainting"),
    )


def failed(image_id: str, *, retry: bool = False) -> Outcome:
    """The outcome that a worker reports for a failed image."""
    return Outcome(
        image_id=image_id,
        state=ImageState.FAILED,
        error_code="image_truncated",
        error_detail="The file ends early.",
        retry=retry,
    )
