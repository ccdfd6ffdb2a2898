"""Files that many images of a shard share, such as their mask: fetched once, while all images wait for it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future

#: Files in memory. Most shards share one mask; where each image has its own, the oldest is dropped.
_CACHED = 4


class SharedFiles:
    """A few files by key. ``get`` may be called from any thread."""

    def __init__(self, fetch: Callable[[str], bytes]) -> None:
        self._fetch = fetch
        self._lock = threading.Lock()
        self._files: OrderedDict[str, Future[bytes]] = OrderedDict()

    def get(self, key: str) -> bytes:
        """The file. Concurrent calls share one fetch and its error; a call after an error fetches again."""
        with self._lock:
            file = self._files.get(key)
            fetches = file is None
            if file is None:
                file = self._files[key] = Future()
            self._files.move_to_end(key)
            while len(self._files) > _CACHED:
                self._files.popitem(last=False)
        if fetches:
            try:
                file.set_result(self._fetch(key))
            except BaseException as error:
                with self._lock:
                    self._files.pop(key, None)
                file.set_exception(error)
        return file.result()
