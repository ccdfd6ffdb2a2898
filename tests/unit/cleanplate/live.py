"""A live API for tests of the client; the test plays the worker: it stores results and ends images."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cleanplate.base.image_records import FileHashes, ImageRecord
from cleanplate.base.settings import Settings
from storage.blobs import Blobs, open_blobs
from storage.database import Database
from storage.ledger.images.finish import finish_images
from storage.ledger.images.leases import lease_images
from storage.ledger.images.reaper import close_jobs
from storage.ledger.jobs.reading import list_images, list_jobs
from storage.ledger.tenants.tenants import create_key, ensure_tenant
from storage.records import ImageState, Outcome
from tests.servers import free_port


class Shop:
    """A tenant of a service, with access to its ledger."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = Database.connect(settings.sqlalchemy_url)
        self.blobs: Blobs = open_blobs(settings)
        self.tenant = ensure_tenant(self.database, "shop")
        _, self.key = create_key(self.database, self.tenant, "test")

    def jobs(self) -> list[str]:
        """Ids of all jobs."""
        return [job.id for job in list_jobs(self.database, self.tenant, limit=100, after=None)]

    def work(self, job_id: str, *, bad: int = 0, record: ImageRecord | None = None) -> None:
        """End all images of a job, the first ``bad`` as failed, and close it; ``record`` tells of the others."""
        images = list_images(self.database, self.tenant, job_id, limit=1000, after=None)
        token, leased = lease_images(self.database, [image.id for image in images], worker="test", lease_s=60)
        outcomes = []
        for number, image in enumerate(leased):
            if number < bad:
                outcomes.append(Outcome(image_id=image.id, state=ImageState.FAILED, error_code="image_truncated"))
                continue
            data, key = image.name.upper().encode() + image.id.encode(), f"t/{self.tenant}/jobs/{job_id}/{image.id}.png"
            self.blobs.put(key, data, content_type="image/png")
            outcomes.append(
                Outcome(
                    image_id=image.id,
                    state=ImageState.SUCCEEDED,
                    result_key=key,
                    content_type="image/png",
                    width=1,
                    height=1,
                    record=(record or ImageRecord()).with_fields(
                        ImageRecord(sha256=FileHashes(result=hashlib.sha256(data).hexdigest()))
                    ),
                )
            )
        finish_images(self.database, token, outcomes, max_attempts=1)
        close_jobs(self.database)

    def close(self) -> None:
        self.database.close()


def on_a_port(settings: Settings) -> Settings:
    """The settings with a free port."""
    port = free_port()
    return settings.model_copy(
        update={
            "port": port,
            "public_url": f"http://127.0.0.1:{port}",
            "api_workers": 1,
            "webhook_allow_private": True,
        }
    )


def pictures(folder: Path, *names: str) -> list[Path]:
    """Files with the names of pictures; the API does not read uploads."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(f"a picture called {name} in {folder}".encode())
    return [folder / name for name in names]
