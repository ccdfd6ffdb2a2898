"""Repairs palette pictures: repaired pixels take the nearest colour of the palette; free entries take new colours.

Indices outside the hole never change, nor does any colour that the palette already has.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.imaging.picture import Samples

#: Pixels matched against the palette at once: bounds the table of distances.
_BATCH = 1 << 15


@dataclass
class Palette:
    """Colours of a picture: ``colours`` uint8 ``[n, 3]`` and ``alphas`` uint8 ``[n]``."""

    colours: NDArray[np.uint8]
    alphas: NDArray[np.uint8]

    @classmethod
    def of(cls, rgb: bytes, alphas: bytes = b"") -> Palette:
        """A palette from its bytes and from the alphas of its leading entries (the others are opaque)."""
        colours = np.frombuffer(rgb[: len(rgb) // 3 * 3], np.uint8).reshape(-1, 3).copy()
        given = np.frombuffer(alphas[: len(colours)], np.uint8)
        return cls(colours, np.concatenate((given, np.full(len(colours) - len(given), 255, np.uint8))))

    def paint(
        self, indices: NDArray[np.uint8], samples: Samples, inside: NDArray[np.bool_], capacity: int | None = None
    ) -> None:
        """Set ``indices`` (``[H, W]``) to the nearest colours of ``samples`` (``uint8 [H, W, 3 or 4]``) ``inside``.

        Pixels keep their alpha, unless ``samples`` have another: those take the entry that looks most like them on
        white and on black. The palette may grow to ``capacity`` colours.
        """
        old = np.minimum(indices[inside], len(self.colours) - 1)
        alphas = self.alphas[old]
        new = np.ascontiguousarray(samples[inside])
        wanted = np.ascontiguousarray(new[:, :3])
        wanted_alphas = new[:, 3] if new.shape[1] == 4 else alphas
        opaque = wanted_alphas == 255
        if capacity is not None and opaque.any():
            self._grow(wanted[opaque], capacity)
        painted = old.copy()
        moved = wanted_alphas != alphas
        for alpha in np.unique(alphas[(alphas > 0) & ~moved]):
            entries = np.flatnonzero(self.alphas == alpha)
            at = np.flatnonzero((alphas == alpha) & ~moved)
            painted[at] = entries[_nearest(wanted[at], self.colours[entries])]
        if moved.any():
            painted[moved] = _nearest(new[moved], np.column_stack((self.colours, self.alphas)))
        indices[inside] = painted

    def _grow(self, wanted: NDArray[np.uint8], capacity: int) -> None:
        """Add the colours of ``wanted`` that the palette lacks most, up to its capacity."""
        room = capacity - len(self.colours)
        if room <= 0:
            return
        opaque = self.colours[self.alphas == 255]
        if len(opaque):
            far = np.abs(opaque[_nearest(wanted, opaque)].astype(np.int16) - wanted).max(axis=1) > 2
            wanted = wanted[far]
        if not len(wanted):
            return
        strip = Image.fromarray(wanted[None])
        reduced = strip.quantize(room, method=Image.Quantize.MEDIANCUT)
        used = len(reduced.getcolors() or ())
        new = np.array(reduced.getpalette(), np.uint8).reshape(-1, 3)[:used]
        self.colours = np.concatenate((self.colours, new))
        self.alphas = np.concatenate((self.alphas, np.full(len(new), 255, np.uint8)))


def _nearest(wanted: NDArray[np.uint8], colours: NDArray[np.uint8]) -> NDArray[np.intp]:
    """For each of ``wanted`` (``[n, 3 or 4]``) the place of the nearest of ``colours`` (``[m, 3 or 4]``), in CIELAB."""
    table = _lab(colours)
    unique, back = np.unique(wanted, axis=0, return_inverse=True)
    places = [
        np.argmin(((_lab(unique[at : at + _BATCH])[:, None] - table) ** 2).sum(axis=2), axis=1)
        for at in range(0, len(unique), _BATCH)
    ]
    return np.concatenate(places)[back.reshape(-1)]


def _lab(colours: NDArray[np.uint8]) -> NDArray[np.float32]:
    """CIELAB; of colours with alpha, what they look like on black and on white (``float32 [n, 6]``)."""
    values = np.asarray(colours.astype(np.float32) / 255, np.float32)
    if colours.shape[1] == 4:
        shown, opacity = values[:, :3] * values[:, 3:], values[:, 3:]
        on_white = np.asarray(shown + 1 - opacity, np.float32)
        return np.column_stack([_as_lab(np.asarray(shown, np.float32)), _as_lab(on_white)])
    return _as_lab(values)


def _as_lab(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(values[None], cv2.COLOR_RGB2Lab)[0], np.float32)


def packed_bits(values: NDArray[np.uint8], depth: int) -> NDArray[np.uint8]:
    """``[h, w]`` of 1, 2, 4 or 8 bits as bytes; each row begins with a byte, its first value in the highest bits."""
    per_byte = 8 // depth
    padded = np.pad(values, ((0, 0), (0, -values.shape[1] % per_byte))).reshape(values.shape[0], -1, per_byte)
    shifts = np.arange(per_byte - 1, -1, -1, dtype=np.uint8) * np.uint8(depth)
    return np.asarray(np.bitwise_or.reduce(padded << shifts, axis=2), np.uint8)
