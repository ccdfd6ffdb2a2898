"""The embedded queue: kombu's filesystem transport, in which messages appear whole.

kombu writes a message under its final name. A consumer that reads at that moment, or a producer that dies then, makes
half a message, which ends the consumer. This transport writes a message beside the queue and renames it into the queue.
A consumer of several queues empties the first queue first.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import filesystem
from kombu.utils.scheduling import FairCycle


class InOrder(FairCycle):
    """Reads the first queue first at each turn, so that interactive work overtakes bulk work."""

    def get(self, callback: Callable[..., Any], **options: Any) -> Any:
        self.pos = 0
        return super().get(callback, **options)  # type: ignore[no-untyped-call]


class Channel(filesystem.Channel):
    """kombu's channel with its own way of writing and its own order of queues."""

    def _reset_cycle(self) -> None:
        self._cycle = InOrder(self._get_and_deliver, self._active_queues, Empty)  # type: ignore[no-untyped-call]

    # kombu's own two signatures disagree.
    def _put(self, queue: str, payload: dict[str, Any], **_: Any) -> None:  # type: ignore[override]
        folder = Path(self.data_folder_out)
        # Names sort by age, and end as kombu's names do, which consumers look for.
        name = f"{time.time_ns():020}_{uuid.uuid4()}.{queue}.msg"
        draft = folder / f"{name}.draft"
        draft.write_text(json.dumps(payload))
        draft.rename(folder / name)


class Transport(filesystem.Transport):
    """For ``broker_transport``."""

    Channel = Channel
