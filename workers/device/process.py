"""``python -m workers.device.process NAME QUEUES``: one Celery worker with one child, started by the supervisor.

It gets SIGTERM when the supervisor dies, even by SIGKILL.
"""

from __future__ import annotations

import sys
import warnings

from celery.exceptions import SecurityWarning

from workers.device.app import app


def main(name: str, queues: str) -> None:
    """Consume shards from ``queues`` (with commas) as the Celery node ``name`` until stopped."""
    # The warning to root is about pickled messages; this worker accepts JSON alone.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    # Celery prints there, outside the log, that it stops; the supervisor logs that.
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
