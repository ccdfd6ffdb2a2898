"""A limit on the memory of this process while it decodes pictures, so that a file cannot exhaust the machine.

The limit is Linux's ``RLIMIT_DATA``, which covers allocated memory, not memory that is only reserved.
Above it an allocation fails, and so does the picture, but the process lives. Other systems have no limit.
"""

from __future__ import annotations

import ctypes
import math
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2

from model.errors import HostFull, ImageRejected

if sys.platform == "linux":
    import resource

#: Bytes that other parts of the process may allocate meanwhile: the network on its device, the service's threads.
REST = 1 << 30
#: Bytes that decoders need besides pixels.
OVERHEAD = 256 << 20


#: Before a picture of this many bytes, the allocator's free memory is returned to the system (malloc_trim, glibc).
_LARGE = 256 << 20
_give_back = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


class _Allowances:
    """The allowances of all threads, and the limit that follows from them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._base = self._total = 0
        #: Bytes that limits from outside left when the first of the present allowances was taken.
        self._room = math.inf

    def take(self, count: int) -> None:
        with self._lock:
            if self._total == 0:
                self._base, self._room = allocated(), _room()
            if self._total + count > self._room:
                raise HostFull
            self._total += count
            self._set(self._base + self._total + REST)

    def give(self, count: int) -> None:
        with self._lock:
            self._total -= count
            self._set(self._base + self._total + REST if self._total else None)

    @staticmethod
    def _set(limit: int | None) -> None:
        if sys.platform == "linux":
            hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
            soft = hard if limit is None else limit if hard == resource.RLIM_INFINITY else min(limit, hard)
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


_allowances = _Allowances()


def allocated() -> int:
    """Bytes that count towards the limit now."""
    return _status("VmData") if sys.platform == "linux" else 0


def _room() -> float:
    """Bytes that the limits which the process was given leave it: of allocated memory, and of address space."""
    if sys.platform != "linux":
        return math.inf
    given = {
        "VmData": resource.getrlimit(resource.RLIMIT_DATA)[1],
        "VmSize": resource.getrlimit(resource.RLIMIT_AS)[0],
    }
    return min(
        math.inf if limit == resource.RLIM_INFINITY else limit - _status(field) for field, limit in given.items()
    )


def _status(field: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


@contextmanager
def bounded(count: int) -> Iterator[None]:
    """Let this thread allocate about ``count`` bytes for a picture during the block, and no more.

    Raises:
        ImageRejected: it needed more.
        HostFull: the process may not allocate as much, so that the picture is not to blame.
    """
    allowance = count + OVERHEAD
    if count > _LARGE and _give_back is not None:
        _give_back(0)
    _allowances.take(allowance)
    try:
        yield
    except MemoryError:
        raise _refused() from None
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise _refused() from None
        raise
    finally:
        _allowances.give(allowance)


def _refused() -> ImageRejected:
    return ImageRejected(
        "image_needs_too_much_memory", "The image needs more memory than its size explains: export it again."
    )
