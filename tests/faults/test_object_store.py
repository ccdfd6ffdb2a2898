"""An object store that is busy, drips or breaks off in the middle of a body, and a full disk: no image is lost."""

from __future__ import annotations

import resource

import pytest

from tests.faults.conftest import Service
from tests.faults.hold import Hold
from tests.faults.s3_proxy import Fault
from tests.running import children, until


@pytest.mark.parametrize("fault", [Fault.BUSY, Fault.DRIPPING, Fault.CUT])
def test_an_object_store_in_trouble_costs_no_image(on_servers: Service, fault: Fault) -> None:
    # At its start a worker waits for its servers and takes no image.
    until(lambda: "worker.ready" in on_servers.worker.log, "the worker did not start")
    job = on_servers.submit_small(3)
    on_servers.store.fault = fault
    try:
        until(
            lambda: ("failed", "blob_store_unavailable") in on_servers.attempts(job),
            lambda: f"no attempt met the fault: {on_servers.attempts(job)}\n{on_servers.worker.log[-3000:]}",
        )
    finally:
        on_servers.store.fault = Fault.NONE
    on_servers.assert_done_once(job)


def test_a_full_disk_costs_no_image(embedded: Service, hold: Hold) -> None:
    """No file of the worker may grow: results, ledger and logs fail as on a full disk."""
    with embedded.midway(hold, 2) as job:
        [celery] = children(embedded.worker.process.pid)
        [child] = children(celery)
        before = resource.prlimit(child, resource.RLIMIT_FSIZE, (2048, resource.RLIM_INFINITY))
    try:
        until(lambda: ("lost", "worker_lost") in embedded.attempts(job), "the worker went on without a disk")
    finally:
        resource.prlimit(child, resource.RLIMIT_FSIZE, before)
    embedded.assert_done_once(job)
