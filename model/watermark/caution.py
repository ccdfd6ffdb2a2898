"""What the reviewer of a template should know before it is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from model.errors import TemplateRefused
from model.watermark.template import Side


@dataclass(frozen=True)
class Caution:
    """A stable code, the figures and names that belong to it, and both in an English sentence."""

    code: str
    params: dict[str, str | int]
    sentence: str

    def __str__(self) -> str:
        return self.sentence

    @classmethod
    def forced(cls, refused: TemplateRefused) -> Self:
        """The reason against a template that is made all the same."""
        return cls(refused.code, refused.params, str(refused))

    @classmethod
    def doubtful(cls) -> Self:
        """The mark hardly stands out, or its removal leaves it visible."""
        return cls(
            "mark_doubtful",
            {},
            "What the pictures share hardly stands out from them, or still shows when it is taken off: it may be no "
            "mark, but the edge of a backdrop for instance. Look at it before it is used.",
        )

    @classmethod
    def scattered(cls, pictures: int) -> Self:
        """The mark lies at another place in each picture."""
        return cls(
            "mark_scattered",
            {"pictures": pictures},
            f"The mark lies at another place in each of {pictures} pictures, as a print on goods does: look at it "
            "before it is used.",
        )

    @classmethod
    def not_everywhere(cls, tested: int, found: int, clean: int) -> Self:
        """A given mark was not found, or not removed, in some of its own pictures."""
        return cls(
            "mark_not_everywhere",
            {"tested": tested, "found": found, "clean": clean},
            f"The mark was found again in {found} of {tested} pictures and is clean in {clean}: look at the sheet "
            "before you use the template.",
        )

    @classmethod
    def end_unseen(cls, side: Side, shown: int, samples: int) -> Self:
        """Beyond a side of the template, hardly a sample could have shown more of the mark."""
        return cls(
            "end_unseen",
            {"side": side, "shown": shown, "samples": samples},
            f"Only {shown} of {samples} pictures, look-alikes as one, could show more of the mark beyond its {side} "
            "end: on the others it would lie on its own colour. If it goes on there, add pictures with other goods at "
            "that place, or use the logo's file or a painted example.",
        )
