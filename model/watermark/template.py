"""A template of a watermark: its opacity and colour per pixel, the rule of its place, and its quality.

The file is a ZIP, readable with any tool: ``template.json``, ``alpha.png`` (16 bits), ``colour.png``,
``mask.png`` and preview pictures.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.errors import TemplateRejected
from model.watermark.frames import ANCHORS, SCALES, Scale, side
from model.watermark.lattice import Lattice

Values = NDArray[np.float32]
Mask = NDArray[np.uint8]

#: Px at the top, left, bottom and right of a template.
Margins = tuple[int, int, int, int]
Side = Literal["top", "left", "bottom", "right"]
SIDES: tuple[Side, ...] = ("top", "left", "bottom", "right")
VERSION = 3
#: Versions that can be read. The first has no sizes of samples, the second no margins apart from the scale.
_KNOWN = (1, 2, 3)
#: Most px on a side of a mark, and most bytes of an unpacked file.
_LONGEST, _MOST_BYTES = 8192, 256 << 20
#: Number of steps of the stored opacity.
_STEPS = 65_535


@dataclass(frozen=True)
class Rule:
    """The rule that gives the place of the mark in a picture."""

    #: One of :data:`model.watermark.frames.ANCHORS`.
    anchor: str
    #: ``pixels``: the same size in every picture; else scaled with that side of the picture.
    scale: Scale
    #: Top and left of the mark, counted from the anchor's place in the picture, in px of the reference: they scale with
    #: the mark.
    down: float
    across: float
    #: Width of the pictures that ``scale`` is relative to; for ``pixels``, of most of the samples; and their height,
    #: which counts where ``scale`` says so.
    reference_width: float
    reference_height: float = 0
    #: Heights and widths of the samples; empty for a rule that does not come from samples. Other rules may fit them
    #: too: see :mod:`model.watermark.placings`.
    sizes: tuple[tuple[int, int], ...] = ()
    #: The period of a mark that is repeated over the whole picture.
    lattice: Lattice | None = None
    #: Shares of the height and of the width to count from instead of the anchor's: margins in per cent of the sides.
    shares: tuple[float, float] | None = None
    #: Further distance from there in px, which does not scale.
    margin: tuple[float, float] = (0.0, 0.0)
    #: Other anchors at which the mark lies with the same margins in some pictures.
    also: tuple[str, ...] = ()
    #: The mark lies anywhere: this rule is only the most frequent place.
    anywhere: bool = False

    def factor(self, height: int, width: int) -> float:
        """Pixels of a picture of this size per pixel of the mark."""
        own = side(self.scale, (height, width))
        return own / side(self.scale, (self.reference_height or self.reference_width, self.reference_width))

    def corner(self, height: int, width: int) -> tuple[int, int]:
        """Top and left of the mark in a picture of this size."""
        down, across = self.shares or ANCHORS[self.anchor]
        factor = self.factor(height, width)
        return (
            int(np.floor(down * height + self.down * factor + self.margin[0])),
            int(np.floor(across * width + self.across * factor + self.margin[1])),
        )

    @property
    def fixed(self) -> bool:
        """Whether the samples leave no other rule open: their sizes told margins, corners or free places."""
        return self.shares is not None or self.margin != (0.0, 0.0) or bool(self.also) or self.anywhere

    def mirrored(self, mark: tuple[int, int]) -> list[Rule]:
        """The rules for ``also``: the margins of this rule at other anchors. ``mark``: height and width."""
        return [replace(self._at(anchor, mark), also=()) for anchor in self.also]

    def _at(self, anchor: str, mark: tuple[int, int]) -> Rule:
        """This rule at an anchor on the other side, or on the same, along each axis."""
        own, other, shares = ANCHORS[self.anchor], ANCHORS[anchor], self.shares or ANCHORS[self.anchor]
        turned = [mine != its for mine, its in zip(own, other, strict=True)]
        offsets = [
            -(offset + extent) if turn else offset
            for offset, extent, turn in zip((self.down, self.across), mark, turned, strict=True)
        ]
        margin = [-value if turn else value for value, turn in zip(self.margin, turned, strict=True)]
        new = [1 - share if turn else share for share, turn in zip(shares, turned, strict=True)]
        return replace(
            self,
            anchor=anchor,
            down=offsets[0],
            across=offsets[1],
            margin=(margin[0], margin[1]),
            shares=(new[0], new[1]) if self.shares else None,
        )


@dataclass(frozen=True)
class Quality:
    """The quality of a template."""

    #: Number of pictures in the estimate, and of further pictures that were read and do not carry the mark.
    samples: int
    without: int
    #: Number of samples that inform about a pixel of the mark; the median.
    informative: float
    #: Standard error of the opacity, in the median over the mark.
    error: float
    #: Median opacity of the mark.
    opacity: float
    #: Deviation of the shared gradients above chance; the median over the mark's edges.
    z: float
    #: The score of the rule over the runner-up's; 0 with a single candidate.
    margin: float
    #: Visible correlation of the cleaned samples' gradients with the mark's: 0 is clean.
    ghost: float
    #: Spread of the strength over the samples, and spread of the place in px.
    strength_spread: float
    jitter_px: float
    #: The self-test: samples that the template was looked for in, those that it was found in again, and those of them
    #: in which it no longer shows after its removal. 0, 0, 0: not tested.
    tested: int = 0
    found: int = 0
    clean: int = 0


@dataclass(frozen=True)
class Template:
    """A watermark."""

    #: ``float32 [h, w]`` in [0, 1], and ``float32 [h, w, 3]`` from 0 to 255.
    alpha: Values = field(repr=False)
    colour: Values = field(repr=False)
    #: ``uint8 [h, w]``: 255 where the mark has at least half of its opacity.
    mask: Mask = field(repr=False)
    rule: Rule
    quality: Quality
    #: How far beyond its sides the samples could not have shown more of the mark.
    unseen: Margins = (0, 0, 0, 0)
    #: Pictures for people: file name to PNG.
    previews: dict[str, bytes] = field(default_factory=dict, repr=False)

    def to_bytes(self) -> bytes:
        """The template as a file."""
        out = io.BytesIO()
        document: dict[str, Any] = {
            "version": VERSION,
            "width": self.alpha.shape[1],
            "height": self.alpha.shape[0],
            "rule": asdict(self.rule),
            "quality": asdict(self.quality),
            "unseen": self.unseen,
        }
        with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("template.json", json.dumps(document, indent=1) + "\n")
            archive.writestr("alpha.png", _png(np.rint(self.alpha * _STEPS).astype(np.uint16)))
            archive.writestr("colour.png", _png(np.rint(self.colour).astype(np.uint8)))
            archive.writestr("mask.png", _png(self.mask))
            for name, data in self.previews.items():
                archive.writestr(f"previews/{name}", data)
        return out.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Template:
        """Raises:
        TemplateRejected: not a template, or of an unknown version.
        """
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                if sum(entry.file_size for entry in archive.infolist()) > _MOST_BYTES:
                    raise TemplateRejected("template_unreadable", "The template is too large to be one.")
                document = json.loads(archive.read("template.json"))
                if document["version"] not in _KNOWN:
                    raise TemplateRejected(
                        "template_version_unknown",
                        f"The template has version {document['version']}, not {VERSION}: estimate it again.",
                    )
                size = int(document["height"]), int(document["width"])
                alpha = _read(archive.read("alpha.png"), "I;16", size).astype(np.float32) / np.float32(_STEPS)
                colour = _read(archive.read("colour.png"), "RGB", size).astype(np.float32)
                mask = _read(archive.read("mask.png"), "L", size)
                rule = {name: value for name, value in document["rule"].items() if name != "proven"}
                for name in ("shares", "margin"):
                    if rule.get(name) is not None:
                        rule[name] = _vector(rule[name])
                rule["also"] = tuple(str(anchor) for anchor in rule.get("also", ()))
                rule["sizes"] = tuple((int(high), int(wide)) for high, wide in rule.get("sizes", ()))
                periods = rule.pop("lattice")
                lattice = Lattice(*(_vector(periods[name]) for name in ("first", "second"))) if periods else None
                top, left, bottom, right = (int(px) for px in document.get("unseen", (0, 0, 0, 0)))
                if not 0 <= min(top, left, bottom, right) <= max(top, left, bottom, right) <= _LONGEST:
                    raise ValueError("a margin is out of bounds")
                previews = {
                    entry.filename.removeprefix("previews/"): archive.read(entry)
                    for entry in archive.infolist()
                    if entry.filename.startswith("previews/")
                }
                quality, unseen = Quality(**document["quality"]), (top, left, bottom, right)
                template = cls(alpha, colour, mask, Rule(**rule, lattice=lattice), quality, unseen, previews)
        except (zipfile.BadZipFile, KeyError, ValueError, TypeError, OSError, EOFError, NotImplementedError) as error:
            raise TemplateRejected("template_unreadable", f"This is not a template's file ({error}).") from None
        if (
            template.rule.anchor not in ANCHORS
            or template.rule.scale not in SCALES
            or not set(template.rule.also) <= set(ANCHORS)
            or template.rule.reference_width < 1
            or any(min(size) < 1 for size in template.rule.sizes)
        ):
            raise TemplateRejected("template_unreadable", "The template's placing rule is unknown to this release.")
        if lattice is not None and abs(float(np.linalg.det(lattice.matrix))) < 16:
            raise TemplateRejected("template_unreadable", "The template's periods span no cell.")
        return template


def _vector(values: Any) -> tuple[float, float]:
    x, y = (float(value) for value in values)
    if not (np.isfinite(x) and np.isfinite(y) and max(abs(x), abs(y)) <= _LONGEST):
        raise ValueError("a period is out of bounds")
    return x, y


def _png(values: NDArray[Any]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(values).save(out, "PNG")
    return out.getvalue()


def _read(data: bytes, mode: str, size: tuple[int, int]) -> NDArray[Any]:
    if not (0 < size[0] <= _LONGEST and 0 < size[1] <= _LONGEST):
        raise ValueError("its size is out of bounds")
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        if image.size != size[::-1] or image.mode != mode:
            raise ValueError(f"a picture in it is {image.mode} of {image.width}x{image.height}")
        return np.array(image)
