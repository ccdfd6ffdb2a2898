"""A shard on its way through one process: leased, sent through the steps (steps.py) in a line (line.py), ended.

Several pictures are with the engine at once, which batches their tiles. What the process did not come to is given back.
"""

from __future__ import annotations

import time

import structlog
from structlog.contextvars import bound_contextvars

from storage.errors import LedgerUnavailable
from storage.ledger.images.leases import lease_images, release_images
from storage.records import LeasedImage
from workers.device.images.finisher import Finisher
from workers.device.images.shard_executor import ShardExecutor
from workers.device.images.steps import Steps
from workers.device.lease import Heartbeat, Lease
from workers.device.resources import Resources

log = structlog.get_logger(__name__)

#: Longest wait between two tries to lease while the ledger is away, in seconds.
LEASE_RETRY_S = 10.0


def run_shard(image_ids: list[str], resources: Resources) -> bool:
    """Lease what can still be leased of ``image_ids`` and bring each to its end.

    False: the device failed for good, and this process cannot do anything more.
    """
    taken_at, token, images = _lease(image_ids, resources)
    if not images:
        log.info("shard.empty", images=image_ids)
        return True
    settings = resources.settings
    ids = [image.id for image in images]
    lease = Lease(resources.database, token, ids, lease_s=settings.lease_s, taken_at=taken_at)
    finisher = Finisher(resources.database, lease, max_attempts=settings.max_attempts)
    executor = ShardExecutor(resources, lease, finisher, images)
    steps = Steps(resources, lease, executor)
    with bound_contextvars(job=images[0].job_id), Heartbeat(lease, settings.heartbeat_s):
        with finisher:
            executor.run(steps.fetch)
        if executor.left_over:
            log.info("shard.interrupted")
            _give_back(lease, executor.left_over, resources)
    return not executor.device_lost


def _lease(image_ids: list[str], resources: Resources) -> tuple[float, str, list[LeasedImage]]:
    """Waits for a ledger that is away: without it there is nothing else to do. The queue repeats what is given up."""
    pause = 0.5
    while True:
        taken_at = time.monotonic()
        try:
            token, images = lease_images(
                resources.database, image_ids, worker=resources.worker, lease_s=resources.settings.lease_s
            )
            return taken_at, token, images
        except LedgerUnavailable as error:
            log.warning("lease.waits", code=error.code, error=str(error), images=image_ids)
            if resources.drain.begun:
                return taken_at, "", []
            time.sleep(pause)
            pause = min(pause * 2, LEASE_RETRY_S)


def _give_back(lease: Lease, image_ids: list[str], resources: Resources) -> None:
    """Images that this process did not come to; their attempt does not count."""
    if lease.expired:
        return
    lease.end(image_ids)
    try:
        release_images(resources.database, lease.token, image_ids)
        log.info("images.released", images=image_ids)
    except LedgerUnavailable as error:
        # Their lease runs out, which costs them an attempt.
        log.warning("images.not_released", code=error.code, error=str(error), images=image_ids)
