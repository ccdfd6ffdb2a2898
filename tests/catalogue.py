"""A shop's catalogue for tests: generated pictures and masks, submitted as jobs straight to ledger and blob store."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from sqlalchemy import select

from cleanplate.base.masks import FileMask, ImageMask
from cleanplate.base.options import JobOptions
from cleanplate.base.settings import Settings
from storage.blobs import LocalBlobs, S3Blobs, open_blobs
from storage.database import Database
from storage.ledger.jobs.reading import get_job, list_images
from storage.ledger.jobs.submission import submit_job
from storage.ledger.tenants.tenants import ensure_tenant
from storage.ledger.tenants.uploads import create_uploads
from storage.ledger.webhooks.endpoints import create_endpoint
from storage.ledger.webhooks.relay import relay_events
from storage.records import Image, Job, NewImage, NewJob
from storage.tables import attempts, webhook_deliveries
from tests.shop import RIGHTS

HEIGHT, WIDTH = 200, 160


def picture(seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    """A smooth picture with some grain: ``uint8 [H, W, 3]``."""
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [128 + 90 * np.sin(rows / (17 + seed + 5 * c) + columns / (23 + 3 * c)) for c in range(3)]
    grain = np.random.default_rng(seed).normal(0, 4, (height, width, 3))
    return np.clip(np.stack(waves, axis=-1) + grain, 0, 255).astype(np.uint8)


def bar_mask(height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    """One bar in the middle, for one pass of the network: ``uint8 [H, W]``."""
    mask = np.zeros((height, width), np.uint8)
    mask[height // 2 - 5 : height // 2 + 5, width // 4 : -width // 4] = 255
    return mask


def dotted_mask(height: int, width: int, spacing: int = 320) -> NDArray[np.uint8]:
    """Dots far apart, each in a separate region, for many consecutive passes of the network: ``uint8 [H, W]``."""
    mask = np.zeros((height, width), np.uint8)
    for top in range(spacing // 2, height, spacing):
        for left in range(spacing // 2, width, spacing):
            mask[top : top + 8, left : left + 8] = 255
    return mask


def png(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    PillowImage.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


def pixels_of(file: bytes) -> NDArray[np.uint8]:
    return np.asarray(PillowImage.open(io.BytesIO(file)), np.uint8)


class Catalogue:
    """One tenant's pictures in one service."""

    def __init__(self, settings: Settings, database: Database, blobs: LocalBlobs | S3Blobs) -> None:
        self.settings = settings
        self.database = database
        self.blobs = blobs
        self.tenant_id = ensure_tenant(database, "shop")

    def submit(
        self,
        sources: Sequence[bytes | None],
        mask: bytes,
        *,
        options: dict[str, Any] | None = None,
        webhook_url: str | None = None,
        own_mask: ImageMask | None = None,
        **fields: Any,
    ) -> Job:
        """Submit a job of these files with one mask; ``None`` is an upload whose bytes never arrive.

        ``own_mask``: each image has this one instead. ``fields`` are further fields of :class:`NewJob`.
        """
        files = [*sources, mask]
        uploads = create_uploads(
            self.database, self.tenant_id, [(f"{n}.png", "image/png") for n in range(len(files))], expires_in_s=3600
        )
        for upload, file in zip(uploads, files, strict=True):
            if file is not None:
                self.blobs.put(upload.key, file, content_type="image/png")
        images = [NewImage(name=upload.filename, source_upload_id=upload.id, mask=own_mask) for upload in uploads]
        endpoint_id = None if webhook_url is None else self.endpoint(webhook_url)
        return submit_job(
            self.database,
            self.tenant_id,
            NewJob(
                images=images[:-1],
                mask=FileMask(upload_id=uploads[-1].id),
                options=JobOptions.model_validate(options or {}),
                rights=RIGHTS,
                webhook_endpoint_id=endpoint_id,
                **fields,
            ),
        )

    def endpoint(self, url: str) -> str:
        """Create a webhook endpoint; its id."""
        return create_endpoint(self.database, self.tenant_id, url)[0].id

    def job(self, job: Job) -> Job:
        return get_job(self.database, self.tenant_id, job.id)

    def images(self, job: Job) -> list[Image]:
        return list_images(self.database, self.tenant_id, job.id, limit=1000, after=None)

    def ids(self, job: Job) -> list[str]:
        return [image.id for image in self.images(job)]

    def attempts(self, image: Image) -> list[tuple[str | None, str | None]]:
        """Outcome and code of every recorded attempt, in order."""
        query = (
            select(attempts.c.outcome, attempts.c.code)
            .where(attempts.c.image_id == image.id)
            .order_by(attempts.c.attempt)
        )
        with self.database.read() as connection:
            return [(row.outcome, row.code) for row in connection.execute(query)]

    def events(self, job: Job) -> list[str]:
        """Relay the outbox; the types of the events for a job's webhook."""
        relay_events(self.database)
        query = select(webhook_deliveries.c.event_type).where(webhook_deliveries.c.job_id == job.id)
        with self.database.read() as connection:
            return list(connection.scalars(query))

    def results(self, job: Job) -> list[str]:
        """Keys of the results in the blob store."""
        return sorted(stat.key for stat in self.blobs.list(f"t/{self.tenant_id}/jobs/{job.id}/results/"))


@contextmanager
def catalogue_in(settings: Settings) -> Iterator[Catalogue]:
    """A catalogue in the (migrated) service of these settings."""
    database = Database.connect(settings.sqlalchemy_url)
    try:
        yield Catalogue(settings, database, open_blobs(settings))
    finally:
        database.close()
