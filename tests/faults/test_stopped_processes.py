"""A worker that is stopped for longer than its lease loses its images, finishes none of them, and notices."""

from __future__ import annotations

import os
import signal

from tests.faults.conftest import Service
from tests.faults.hold import Hold
from tests.running import children, until


def test_worker_stopped_beyond_its_lease_cannot_finish_and_notices(embedded: Service, hold: Hold) -> None:
    with embedded.midway(hold, 2) as job:
        [celery] = children(embedded.worker.process.pid)
        [child] = children(celery)
        os.kill(child, signal.SIGSTOP)
    try:

        def lost() -> bool:
            attempts = embedded.attempts(job)
            return ("lost", "worker_lost") in attempts

        until(lost, "the lease of the stopped worker was not reaped")
    finally:
        os.kill(child, signal.SIGCONT)
    embedded.assert_done_once(job)
    assert "lease.lost" in embedded.worker.log
    assert children(celery) == [child]
