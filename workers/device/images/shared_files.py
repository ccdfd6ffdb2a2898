"""Files that many images of a shard share, such as their mask: fetched once, while all images wait for it."""

from __future__ import annotations

import functools
from collections.abc import Callable

from model.shared import Shared

#: Files in memory. Most shards share one mask; where each image has its own, the oldest is dropped.
_CACHED = 4


class SharedFiles:
    """A few files by key. ``get`` may be called from any thread."""

    def __init__(self, fetch: Callable[[str], bytes]) -> None:
        self._fetch = fetch
        self._files: Shared[str, bytes] = Shared(_CACHED)

    def get(self, key: str) -> bytes:
        """The file. Concurrent calls share one fetch and its error; a call after an error fetches again."""
        return self._files.get(key, functools.partial(self._fetch, key))
