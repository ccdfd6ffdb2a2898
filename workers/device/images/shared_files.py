"""Files that many images of a shard name, such as their mask: fetched once, while all who want one wait for it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future

#: Files kept. Most shards share one mask; where each image has its own, old ones go.
_KEPT = 4


class SharedFiles:
    """A few files by key. ``get`` may be called from any thread."""

    def __init__(self, fetch: Callable[[str], bytes]) -> None:
        self._fetch = fetch
        self._lock = threading.Lock()
        self._files: OrderedDict[str, Future[bytes]] = OrderedDict()

    def get(self, key: str) -> bytes:
        """The file. Who asks while it is being fetched shares the answer, and the error; who asks later tries anew."""
        with self._lock:
            file = self._files.get(key)
            mine = file is None
            if file is None:
                file = self._files[key] = Future()
            self._files.move_to_end(key)
            while len(self._files) > _KEPT:
                self._files.popitem(last=False)
        if mine:
            try:
                file.set_result(self._fetch(key))
            except BaseException as error:
                with self._lock:
                    self._files.pop(key, None)
                file.set_exception(error)
        return file.result()
