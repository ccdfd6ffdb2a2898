"""The embedded queue: kombu's filesystem transport, with messages that appear whole.

kombu writes a message under its final name, so a consumer that looks in that moment, or a producer that dies in it,
makes half a message, which ends the consumer. Here a message is written beside the queue and then renamed into it.
"""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

from kombu.transport import filesystem


class Channel(filesystem.Channel):
    """As kombu's, but for writing."""

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
