"""Damaged files, made from good ones: bytes changed, removed, doubled, swapped between files; false sizes."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import numpy as np


def mutated(seeds: Sequence[bytes], count: int, seed: int = 0) -> Iterator[bytes]:
    """``count`` damaged files; the same ``seed`` gives the same files."""
    random = np.random.default_rng(seed)
    for number in range(count):
        data = bytearray(seeds[number % len(seeds)])
        for _ in range(int(random.integers(1, 4))):
            _damage(data, seeds, random)
        yield bytes(data)


def _damage(data: bytearray, seeds: Sequence[bytes], random: np.random.Generator) -> None:
    size = len(data)
    if size < 16:
        return
    # Half of the damage hits the headers, where parsers are most sensitive.
    at = int(random.integers(0, min(size, 700) if random.random() < 0.5 else size))
    span = int(random.integers(1, 64))
    match int(random.integers(0, 7)):
        case 0:
            for place in random.integers(0, size, 8):
                data[int(place)] ^= 1 << int(random.integers(0, 8))
        case 1:
            data[at : at + span] = random.integers(0, 256, span, np.uint8).tobytes()
        case 2:
            del data[at : at + span]
        case 3:
            data[at:at] = data[at : at + span]
        case 4:
            del data[at:]
        case 5:
            other = seeds[int(random.integers(0, len(seeds)))]
            start = int(random.integers(0, len(other)))
            data[at : at + span] = other[start : start + span]
        case _:
            value = int(random.choice([0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF]))
            data[at : at + 4] = struct.pack(random.choice(["<I", ">I"]), value)
