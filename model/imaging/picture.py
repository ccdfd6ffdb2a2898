"""A decoded file: its pages as arrays of samples, and the views of them that the network works on.

Samples are kept as the file has them (grey, RGB or CMYK, with alpha or not, 8 or 16 bits), in the orientation in which
a person sees the picture. The network sees ``uint8 [H, W, 3]``: a grey page as grey colour, a CMYK page as two views
(cyan, magenta and yellow inverted; black inverted), each in the page's own profile.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from model.imaging.probing import Probe

Samples = NDArray[Any]
Pixels = NDArray[np.uint8]
Mask = NDArray[np.uint8]
Colour = Literal["grey", "rgb", "cmyk"]

_CHANNELS = {"grey": 1, "rgb": 3, "cmyk": 4}


@dataclass(frozen=True)
class Picture:
    """A page as the network sees it."""

    #: ``uint8 [H, W, 3]``, as a person sees it.
    pixels: Pixels


@dataclass(frozen=True)
class Page:
    """One frame of an animation, one page of a document, or the only picture of a file."""

    #: ``uint8`` or ``uint16 [H, W, C]``, as a person sees it; alpha, if any, is the last channel.
    samples: Samples = field(repr=False)
    colour: Colour
    alpha: bool = False
    #: EXIF orientation of the stored samples, 1 to 8.
    orientation: int = 1

    @property
    def height(self) -> int:
        return int(self.samples.shape[0])

    @property
    def width(self) -> int:
        return int(self.samples.shape[1])

    def views(self) -> list[Picture]:
        """The page's views for the network, in the order in which :meth:`repaired` takes the results."""
        shown = self._shown()
        match self.colour:
            case "grey":
                return [Picture(np.repeat(shown, 3, axis=2))]
            case "rgb":
                return [Picture(np.ascontiguousarray(shown))]
            case "cmyk":
                inverted = 255 - shown
                return [
                    Picture(np.ascontiguousarray(inverted[..., :3])),
                    Picture(np.repeat(inverted[..., 3:], 3, axis=2)),
                ]

    def repaired(self, results: list[Pixels], hole: Mask) -> Samples:
        """The page's samples with the network's ``results``, one for each view, in ``hole``; unchanged elsewhere."""
        if self.colour == "rgb" and not self.alpha and self.samples.dtype == np.uint8:
            return results[0]
        inside = hole > 0
        samples = self.samples.copy()
        colour = samples[..., : _CHANNELS[self.colour]]
        colour[inside] = self._lifted(self._painted(results, inside), inside)
        return samples

    def _shown(self) -> Pixels:
        """The colour channels, reduced to 8 bits."""
        colour = self.samples[..., : _CHANNELS[self.colour]]
        return (colour >> 8).astype(np.uint8) if colour.dtype == np.uint16 else colour.astype(np.uint8, copy=False)

    def _painted(self, results: list[Pixels], inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """The results' hole pixels as this page's colour channels: ``uint8 [n, C]``."""
        first = results[0][inside]
        if self.colour == "rgb":
            return first
        if self.colour == "cmyk":
            return np.asarray(255 - np.concatenate((first, _grey(results[1][inside])), axis=1), np.uint8)
        return _grey(first)

    def _lifted(self, painted: NDArray[np.uint8], inside: NDArray[np.bool_]) -> Samples:
        """8 bits extended to the depth of the samples; a pixel with unchanged 8 bits keeps its full depth."""
        if self.samples.dtype != np.uint16:
            return painted
        before = self.samples[..., : _CHANNELS[self.colour]][inside]
        return np.asarray(np.where(painted == before >> 8, before, painted.astype(np.uint16) * 257), np.uint16)


def _grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``uint8 [n, 3]`` to ``[n, 1]``: the mean, since the three channels were equal before."""
    return np.asarray(np.rint(pixels.mean(axis=1, keepdims=True)), np.uint8)


@dataclass(frozen=True)
class Document:
    """A decoded file with everything that writing it back in its format needs."""

    data: bytes = field(repr=False)
    probe: Probe
    pages: tuple[Page, ...]
    #: Whether the file's coding is lossless.
    lossless: bool = True
    #: The difference of ``data`` from the received file, in words; empty if they are equal.
    mended: str = ""


@dataclass(frozen=True)
class Edit:
    """One page after the repair: its samples, and the hole in which they may differ from the source."""

    samples: Samples = field(repr=False)
    hole: Mask = field(repr=False)


@dataclass(frozen=True)
class Written:
    """A file and how it was made: ``spliced``, ``lossless``, ``recoded`` or ``converted``."""

    data: bytes = field(repr=False)
    how: str
    #: Reasons for more changes than usual, and parts that are left out; empty if neither applies.
    reason: str = ""
    #: Codes of what the source holds and the file does not.
    left_out: tuple[str, ...] = ()
    #: Similarity to the source outside the hole, in dB, by a decoder; ``None`` where they are equal there.
    similarity_db: float | None = None
    #: Seconds that reading the file back took; the part of it that an encoder's search takes is not counted.
    read_back_s: float = 0.0
    #: Whether it was read back and compared where it was made.
    is_proved: bool = False
