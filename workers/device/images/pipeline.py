"""A shard on its way through one process: leased, sent through the steps (steps.py) by the shard executor, ended.

Several pictures are with the engine at once, which batches their tiles. Images that the process does not begin are
given back.
"""

from __future__ import annotations

import functools

import structlog
from structlog.contextvars import bound_contextvars

from storage.ledger.images.leases import lease_images, release_images
from storage.ledger.story import log_images
from workers.device.images.finisher import Finisher
from workers.device.images.shard_executor import ShardExecutor
from workers.device.images.steps import Steps
from workers.device.lease import LeaseHeartbeat, give_back, lease_on_images, take_lease
from workers.device.resources import Resources

log = structlog.get_logger(__name__)


def run_shard(image_ids: list[str], resources: Resources) -> bool:
    """Lease the images of ``image_ids`` that are still free, and bring each to its end.

    Returns False when the device failed for good and this process can do nothing more.
    """
    settings, database = resources.settings, resources.database
    take = functools.partial(lease_images, database, image_ids, worker=resources.worker, lease_s=settings.lease_s)
    taken = take_lease(take, lambda: resources.drain.begun, images=image_ids)
    if taken is None:
        return True
    taken_at, (token, images) = taken
    if not images:
        log.info("shard.nothing_to_lease", images=image_ids)
        return True
    leased_ids = [image.id for image in images]
    log_images(
        log.info, "images.leased", leased_ids, job=images[0].job_id, worker=resources.worker, lease_s=settings.lease_s
    )
    lease = lease_on_images(database, token, leased_ids, lease_s=settings.lease_s, taken_at=taken_at)
    finisher = Finisher(database, lease, max_attempts=settings.max_attempts)
    executor = ShardExecutor(resources, lease, finisher, images)
    steps = Steps(resources, lease, executor)
    with bound_contextvars(job=images[0].job_id), LeaseHeartbeat(lease, settings.heartbeat_s):
        with finisher:
            executor.run(steps.fetch)
        if unfinished := executor.unfinished:
            log.info("shard.interrupted")
            give_back(lease, unfinished, lambda: release_images(database, token, unfinished))
    return not executor.device_lost
