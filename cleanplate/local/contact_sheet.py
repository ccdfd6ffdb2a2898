"""A contact sheet: pictures side by side in labelled rows, as one RGB picture."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont, ImageOps

CELL = 200
GAP = 8
LABEL = 30
PAPER = "white"
INK = "#222222"


def contact_sheet(rows: Sequence[tuple[str, Sequence[Image.Image]]]) -> Image.Image:
    """``rows`` of a label and pictures, all rows of one length; each picture is scaled into a cell of 200 px width."""
    columns = len(rows[0][1])
    scaled = [(label, [_scaled(picture) for picture in pictures]) for label, pictures in rows]
    height = max(picture.height for _, pictures in scaled for picture in pictures)
    sheet = Image.new("RGB", (columns * (CELL + GAP) + GAP, len(rows) * (LABEL + height + GAP) + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(18)
    for row, (label, pictures) in enumerate(scaled):
        top = row * (LABEL + height + GAP)
        draw.text((GAP, top + LABEL // 2 + 2), label, fill=INK, font=font, anchor="lm")
        for column, picture in enumerate(pictures):
            sheet.paste(picture, (GAP + column * (CELL + GAP), top + LABEL))
    return sheet


def _scaled(picture: Image.Image) -> Image.Image:
    return ImageOps.contain(picture.convert("RGB"), (CELL, 4 * CELL), Image.Resampling.LANCZOS)
