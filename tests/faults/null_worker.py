"""``python -m tests.faults.null_worker``: a worker whose engine does nothing, for the soak: it starts quickly.

Queue, leases, heartbeats, finisher and blob store are the product's own; there is no network. With
``CLEANPLATE_CODERS`` its pictures go through coders, with a fill of their inverted colours.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from queue import Empty

from cleanplate.base.image_records import ImageRecord
from cleanplate.base.settings import Settings, load_settings
from cleanplate.telemetry import logs
from storage.blobs import open_blobs
from storage.database import Database
from storage.errors import LedgerUnavailable
from storage.ledger.images.leases import lease_images
from storage.records import ImageState, Outcome, Priority
from workers.device.images.finisher import Finisher
from workers.device.images.outcomes import failure
from workers.device.lease import LeaseHeartbeat, lease_on_images
from workers.errors import CoderLost
from workers.shared.queue import make_celery

#: One image in this number fails.
FAILS = 97
ENGINE_S = 0.02


def main() -> None:
    settings = load_settings()
    logs.configure(settings)
    database, blobs, celery = Database.connect(settings.sqlalchemy_url), open_blobs(settings), make_celery(settings)
    name = f"null:{os.getpid()}:null"
    made = made_by_coders(settings) if settings.coders > 0 else lambda source: source
    with celery.connection() as connection:
        queue = connection.SimpleQueue(celery.amqp.queues[Priority.BULK.value])
        while True:
            try:
                message = queue.get(timeout=0.2)
            except Empty:
                continue
            taken_at = time.monotonic()
            try:
                token, leased = lease_images(database, message.payload[0][0], worker=name, lease_s=settings.lease_s)
            except LedgerUnavailable:
                time.sleep(0.5)
                continue
            lease = lease_on_images(
                database, token, [i.id for i in leased], lease_s=settings.lease_s, taken_at=taken_at
            )
            with (
                LeaseHeartbeat(lease, settings.heartbeat_s),
                Finisher(database, lease, max_attempts=settings.max_attempts) as finisher,
            ):
                for image in leased:
                    lease.check(image.id)
                    time.sleep(ENGINE_S)
                    if int(image.id[-6:], 16) % FAILS == 0:
                        finisher.add(
                            image,
                            Outcome(
                                image_id=image.id,
                                state=ImageState.FAILED,
                                error_code="image_truncated",
                                error_detail="The file ends early.",
                            ),
                        )
                        continue
                    try:
                        result = made(blobs.get(image.source_key, max_bytes=1 << 20))
                    except CoderLost as error:
                        finisher.add(image, failure(image, error, ImageRecord(worker=name)))
                        continue
                    key = f"t/{image.tenant_id}/jobs/{image.job_id}/results/{image.id}.png"
                    blobs.put(key, result, content_type="image/png")
                    finisher.add(
                        image,
                        Outcome(image_id=image.id, state=ImageState.SUCCEEDED, result_key=key, tiles_done=1),
                    )
            message.ack()


def made_by_coders(settings: Settings) -> Callable[[bytes], bytes]:
    """Repairs a picture that is its own mask."""
    from model.imaging import Limits, probe
    from workers.device.coders.pool import Coders
    from workers.device.coders.work import Wishes, finish, read_sharing

    coders, limits = Coders(settings.coders, settings.stuck_s), Limits(1 << 20, 1 << 20)

    def made(source: bytes) -> bytes:
        memory = coders.run(probe, len(source), source, limits).memory
        task = coders.run(read_sharing, memory, source, source, limits=limits)
        fills = [255 - part.picture.pixels for part in task.parts]
        return coders.run(finish, memory, task, fills, Wishes()).repaired.data

    return made


if __name__ == "__main__":
    main()
