"""The embedded queue: kombu's filesystem transport, with messages that appear whole.

kombu writes a message under its final name, so a consumer that looks in that moment, or a producer that dies in it,
makes half a message, which ends the consumer. Here a message is written beside the queue and then renamed into it.
A consumer of several queues empties the first one first.
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
    """Looks into the first queue first, each time, and not into all in turns: what is interactive overtakes."""

    def get(self, callback: Callable[..., Any], **options: Any) -> Any:
        self.pos = 0
        return super().get(callback, **options)  # type: ignore[no-untyped-call]


class Channel(filesystem.Channel):
    """As kombu's, but for writing and for the order of queues."""

    def _reset_cycle(self) -> None:
        self._cycle = InOrder(self._get_and_deliver, self._active_queues, Empty)  # type: ignore[no-untyped-call]

    # kombu's own two signatures disagree.
    def _put(self, queue: str, payload: dict[str, Any], **_: Any) -> None:  # type: ignore[override]
        folder = Path(self.data_folder_out)
        # In the order of names, oldest first; the same end as kombu's names, which consumers look for.
        name = f"{time.time_ns():020}_{uuid.uuid4()}.{queue}.msg"
        draft = folder / f"{name}.draft"
        draft.write_text(json.dumps(payload))
        draft.rename(folder / name)


class Transport(filesystem.Transport):
    """For ``broker_transport``."""

    Channel = Channel
