"""Masks as JSON: boxes, polygons and COCO run-length encodings, in pixels of the picture or of a stated size.

::

    {"size": [1200, 800],                       optional: width and height that the shapes are measured in
     "units": "relative",                        optional: boxes and polygons in shares of width and height, 0 to 1
     "boxes": [[left, top, width, height]],
     "polygons": [[x0, y0, x1, y1, x2, y2]],
     "rle": [{"size": [height, width], "counts": [12, 3, …] or "compressed string"}]}
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from model.errors import MaskRejected

#: Most shapes of a kind, and most corners of one polygon.
MOST_SHAPES, MOST_CORNERS = 10_000, 10_000

Coordinate = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]
Extent = Annotated[float, Field(allow_inf_nan=False, gt=0, le=1e6)]
Side = Annotated[int, Field(ge=1, le=65_535)]
Box = tuple[Coordinate, Coordinate, Extent, Extent]
Polygon = Annotated[list[Coordinate], Field(min_length=6, max_length=2 * MOST_CORNERS)]
Run = Annotated[int, Field(ge=0, le=1 << 33)]


class RunLengths(BaseModel):
    """COCO's encoding: lengths of alternating runs of 0 and 1, column by column, beginning with 0."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: tuple[Side, Side]
    counts: list[Run] | str


class Shapes(BaseModel):
    """The shapes to repair."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: tuple[Side, Side] | None = None
    units: Literal["px", "relative"] = "px"
    boxes: list[Box] = Field(default=[], max_length=MOST_SHAPES)
    polygons: list[Polygon] = Field(default=[], max_length=MOST_SHAPES)
    rle: list[RunLengths] = Field(default=[], max_length=MOST_SHAPES)

    @model_validator(mode="after")
    def _one_size(self) -> Shapes:
        if any(len(polygon) % 2 for polygon in self.polygons):
            raise ValueError("a polygon has x without y")
        if self.units == "relative" and (self.size or self.rle):
            raise ValueError("relative shapes have no size of their own")
        sizes = {(part.size[1], part.size[0]) for part in self.rle} | ({self.size} if self.size else set())
        if len(sizes) > 1:
            raise ValueError("the run lengths and the mask differ in size")
        return self

    @property
    def measured_in(self) -> tuple[int, int] | None:
        """Width and height that the shapes are measured in; ``None``: the picture's."""
        return (self.rle[0].size[1], self.rle[0].size[0]) if self.rle else self.size


def is_json(data: bytes) -> bool:
    """Whether a mask's file is JSON rather than a picture."""
    return data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{"


def parse(data: bytes) -> Shapes:
    """Raises:
    MaskRejected: not the JSON of a mask.
    """
    try:
        return Shapes.model_validate_json(data.removeprefix(b"\xef\xbb\xbf"))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = "/".join(str(part) for part in first["loc"])
        raise MaskRejected("mask_unreadable", f"The mask's JSON is wrong at /{place}: {first['msg']}.") from None


def drawn(shapes: Shapes, *, width: int, height: int) -> NDArray[np.uint8]:
    """The shapes as ``uint8 [H, W]`` of 0 and 255, of the size that they are measured in.

    Raises:
        MaskRejected: run lengths that do not fill their size.
    """
    canvas = Image.new("L", (width, height), 0)
    pen = ImageDraw.Draw(canvas)
    along, down = (width, height) if shapes.units == "relative" else (1, 1)
    for left, top, wide, tall in ((x * along, y * down, w * along, h * down) for x, y, w, h in shapes.boxes):
        right, bottom = np.ceil(left + wide) - 1, np.ceil(top + tall) - 1
        if right >= np.floor(left) and bottom >= np.floor(top):
            pen.rectangle((np.floor(left), np.floor(top), right, bottom), fill=255)
    for polygon in shapes.polygons:
        corners = [(x * along, y * down) for x, y in zip(polygon[::2], polygon[1::2], strict=True)]
        pen.polygon(corners, fill=255, outline=255)
    mask = np.array(canvas, np.uint8)
    for part in shapes.rle:
        mask |= _decoded(part, width, height)
    return mask


def _decoded(part: RunLengths, width: int, height: int) -> NDArray[np.uint8]:
    counts = np.array(_unpacked(part.counts) if isinstance(part.counts, str) else part.counts, np.int64)
    if counts.sum() != width * height or (counts < 0).any():
        raise MaskRejected("mask_unreadable", f"The mask's run lengths do not fill {width}x{height} pixels.")
    values = np.zeros(len(counts), np.uint8)
    values[1::2] = 255
    return np.repeat(values, counts).reshape(width, height).T


def _unpacked(text: str) -> list[int]:
    """COCO's compressed counts: 5 bits a character, from the fourth on as differences (cocoapi, maskApi.c)."""
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 40:
            raise MaskRejected("mask_unreadable", "The mask's run lengths are no COCO string.")
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    return counts
