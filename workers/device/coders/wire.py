"""Question and answer between a device's process and a coder: values in a slab of shared memory, told of by a socket.

A message is a pickle whose arrays lie beside it in the slab. Neither side trusts the other's pickle: it may name
numpy's arrays and the dataclasses and errors of ``model``, and nothing else.
"""

from __future__ import annotations

import dataclasses
import fcntl
import io
import mmap
import os
import pickle
import struct
import sys
from contextlib import suppress
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import ModelError

Bytes = NDArray[np.uint8]
#: Bytes of a slab that stay with it between two messages.
_KEPT = 64 << 20
_ALIGNED = 64
#: Where the table of a message's pieces begins in the slab, and their number.
_PACKET = struct.Struct("=QQ")
PACKET_BYTES = _PACKET.size
_NUMPY = {"_frombuffer", "_reconstruct", "dtype", "ndarray", "scalar"}


class Nonsense(Exception):
    """A message that no healthy process sends."""


class Slab:
    """Shared memory of two processes. Either may let it grow; it cannot shrink under the other's feet."""

    def __init__(self, fd: int) -> None:
        """The slab of the file ``fd``, which it closes."""
        self.fd = fd
        self._mapped: Bytes = np.empty(0, np.uint8)

    @classmethod
    def new(cls) -> Slab:
        """An empty one."""
        if sys.platform != "linux":
            raise OSError("only Linux has such memory")
        fd = os.memfd_create("cleanplate-coder", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        return cls(fd)

    def room(self, size: int) -> Bytes:
        """At least its first ``size`` bytes: ``uint8 [n]``."""
        if self._mapped.size < size:
            if os.fstat(self.fd).st_size < size:
                os.ftruncate(self.fd, -(-size // mmap.PAGESIZE) * mmap.PAGESIZE)
            self._mapped = np.frombuffer(mmap.mmap(self.fd, 0), np.uint8)
        return self._mapped

    def free(self) -> None:
        """Return the memory of a large message to the system. Nobody reads the slab any more."""
        size = os.fstat(self.fd).st_size
        if size > _KEPT and sys.platform == "linux":
            with mmap.mmap(self.fd, 0) as whole:
                whole.madvise(mmap.MADV_REMOVE, _KEPT, size - _KEPT)

    def close(self) -> None:
        """Let go of the memory."""
        self._mapped = np.empty(0, np.uint8)
        with suppress(OSError):
            os.close(self.fd)


def written(slab: Slab, value: object, at: int = 0) -> tuple[bytes, int]:
    """Write ``value`` into the slab from byte ``at`` on; returns the packet that tells of it, and where it ends."""
    buffers: list[pickle.PickleBuffer] = []
    stream = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    pieces = [_bytes_of(stream), *(_bytes_of(buffer.raw()) for buffer in buffers)]
    table = np.zeros((len(pieces), 2), np.uint64)
    end = _aligned(at + table.nbytes)
    #: Arrays that are views of the same memory are written once.
    places: dict[tuple[int, int], int] = {}
    for row, piece in zip(table, pieces, strict=True):
        key = (piece.ctypes.data, piece.size)
        if key not in places:
            places[key] = end
            end = _aligned(end + piece.size)
        row[:] = places[key], piece.size
    room = slab.room(end)
    room[at : at + table.nbytes] = table.reshape(-1).view(np.uint8)
    for piece in pieces:
        place = places[piece.ctypes.data, piece.size]
        room[place : place + piece.size] = piece
    return _PACKET.pack(at, len(pieces)), end


def read(slab: Slab, packet: bytes, *, most: int, copied: bool) -> tuple[Any, int]:
    """The value that ``packet`` tells of, and where it ends in the slab.

    ``copied``: its arrays stay as they are when the slab changes; otherwise they are views of the slab.

    Raises:
        Nonsense: the packet, the table or the pickle is none, or the message ends behind byte ``most``.
    """
    try:
        at, count = _PACKET.unpack(packet)
        if at + 16 * count > most:
            raise Nonsense(f"{count} pieces at byte {at}")
        table = slab.room(at + 16 * count)[at : at + 16 * count].copy().view(np.uint64).reshape(-1, 2)
        begin, end = int(table[0, 0]), int((table[:, 0] + table[:, 1]).max())
        if not begin <= end <= most or int(table[:, 0].min()) < begin:
            raise Nonsense(f"a message of bytes {begin} to {end}")
        part: Bytes = slab.room(end)[begin:end]
        if copied:
            part = part.copy()
        stream, *buffers = (part[int(place) - begin : int(place + size) - begin] for place, size in table)
        return _Reader(io.BytesIO(stream.tobytes()), buffers=buffers).load(), _aligned(end)
    except (
        struct.error,
        pickle.UnpicklingError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        EOFError,
    ) as error:
        raise Nonsense(f"no message: {error}") from error


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if "." not in name and self._is_known(module, name):
            found = super().find_class(module, name)
            if module.startswith("numpy") or _is_value(found, module):
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is none of a message's types")

    @staticmethod
    def _is_known(module: str, name: str) -> bool:
        top, _, _ = module.partition(".")
        return top == "model" or module == "workers.device.coders.work" or (top == "numpy" and name in _NUMPY)


def _is_value(found: object, module: str) -> bool:
    """Whether it is a class of values or of errors that ``module`` itself defines."""
    if not isinstance(found, type) or found.__module__ != module:
        return False
    return dataclasses.is_dataclass(found) or issubclass(found, ModelError | Enum)


def _bytes_of(buffer: bytes | memoryview) -> Bytes:
    return np.frombuffer(buffer, np.uint8) if len(buffer) else np.empty(0, np.uint8)


def _aligned(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED
