"""A half-open box in pixels: of a region, of a tile, or of the needed part of a result."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """Rows ``top`` to ``bottom``, columns ``left`` to ``right``, the ends not included."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def area(self) -> int:
        return self.height * self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Slices for the two spatial axes of an array; the part of the box beyond the array is cut off."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def union(self, other: Box) -> Box:
        """The least box around both."""
        return Box(
            min(self.top, other.top),
            min(self.left, other.left),
            max(self.bottom, other.bottom),
            max(self.right, other.right),
        )

    def common(self, other: Box) -> Box:
        """What both share; its area is 0 where they share nothing."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        return Box(top, left, max(min(self.bottom, other.bottom), top), max(min(self.right, other.right), left))

    def within(self, origin: Box) -> Box:
        """The same box, counted from the corner of ``origin``."""
        return Box(self.top - origin.top, self.left - origin.left, self.bottom - origin.top, self.right - origin.left)

    def scaled(self, factor: int) -> Box:
        """The box in units that are ``factor`` times finer."""
        return Box(self.top * factor, self.left * factor, self.bottom * factor, self.right * factor)

    def padded(self, multiple: int) -> Box:
        """The box, extended at its end until both sides are multiples of ``multiple``."""
        return Box(
            self.top,
            self.left,
            self.bottom + -self.height % multiple,
            self.right + -self.width % multiple,
        )

    def cells(self, size: int, *, halo: int, height: int, width: int) -> Box:
        """The box in cells of ``size`` px, widened by ``halo`` cells, cut to a map of ``height`` x ``width`` cells."""
        return Box(
            max(self.top // size - halo, 0),
            max(self.left // size - halo, 0),
            min(-(-self.bottom // size) + halo, height),
            min(-(-self.right // size) + halo, width),
        )
