"""The threads of a process's pipeline and the memory of its pictures: made once, shared by the shards under way."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from workers.device.images.byte_budget import ByteBudget

#: Threads that wait for the blob store, to read and to write; some may be stuck with slow answers while others go on.
TRANSFER_THREADS = 8
#: Threads that decode, and as many that encode: these compute, where no coders do it.
CODEC_THREADS = max(2, min(8, os.cpu_count() or 1))
#: Bytes of the pictures between fetching and storing.
BYTES_IN_FLIGHT = 1 << 30
#: Shards under way at once, each with a lease of its own.
MOST_SHARDS = 4


class Stages:
    """One pool of threads for each step, so that one slow picture does not delay others. Threads start when needed."""

    def __init__(self, pictures_at_once: int, coders: int = 0) -> None:
        """``pictures_at_once``: pictures with the engine at the same time. ``coders``: processes that compute."""
        computing = coders or CODEC_THREADS
        self.pictures_at_once = pictures_at_once
        self.budget = ByteBudget(BYTES_IN_FLIGHT)
        self.shards = ThreadPoolExecutor(MOST_SHARDS, "shard")
        self.fetch = ThreadPoolExecutor(TRANSFER_THREADS, "fetch")
        self.decode = ThreadPoolExecutor(computing, "decode")
        self.fill = ThreadPoolExecutor(pictures_at_once, "fill")
        self.encode = ThreadPoolExecutor(computing, "encode")
        self.store = ThreadPoolExecutor(TRANSFER_THREADS, "store")

    def close(self) -> None:
        """End the threads. No shard is under way any more."""
        for pool in (self.shards, self.fetch, self.decode, self.fill, self.encode, self.store):
            pool.shutdown()
