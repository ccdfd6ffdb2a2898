"""``python -m workers.device.process NAME QUEUES``: one Celery worker with one child, started by the supervisor.

The supervisor sees to it that it gets SIGTERM when the supervisor dies, however that dies.
"""

from __future__ import annotations

import sys
import warnings

from celery.exceptions import SecurityWarning

from workers.device.app import app


def main(name: str, queues: str) -> None:
    """Consume shards from ``queues`` (with commas) as the Celery node ``name`` until stopped."""
    # Said to root for the sake of pickled messages; this worker takes JSON alone.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    # What Celery says there about stopping is no line of log; the supervisor says it in one.
    sys.__stdout__ = None  # type: ignore[misc]
    app.worker_main(
        [
            "--quiet",
            "worker",
            f"--hostname={name}@%h",
            f"--queues={queues}",
            "--pool=prefork",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
