"""``python -m workers.process NAME``: one Celery worker with one child, started by the supervisor.

It stops as on SIGTERM when the supervisor dies, however that dies: no worker is left behind unwatched.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings

from billiard.util import set_pdeathsig
from celery.exceptions import SecurityWarning

from workers.app import app
from workers.queue import QUEUES


def main(name: str, supervisor: int) -> None:
    """Consume shards as the Celery node ``name`` until stopped; ``supervisor`` is the process id to live with."""
    if sys.platform == "linux":
        set_pdeathsig(signal.SIGTERM)
    if os.getppid() != supervisor:
        sys.exit("the supervisor is gone")
    # Said to root for the sake of pickled messages; this worker takes JSON alone.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    app.worker_main(
        [
            "--quiet",
            "worker",
            f"--hostname={name}@%h",
            f"--queues={','.join(QUEUES)}",
            "--pool=prefork",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
