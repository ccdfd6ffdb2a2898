"""BMP and GIF."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image

from bench.corpus.content import (
    DENSITY,
    Recipe,
    file_of,
    moving,
)


def bmps(photo: Image.Image) -> Iterator[Recipe]:
    for name, image in (
        ("24", photo),
        ("8", photo.quantize(250)),
        ("grey", photo.convert("L")),
        ("1", photo.convert("1")),
    ):
        yield f"bmp-{name}", lambda image=image: file_of(image, "BMP", dpi=DENSITY)  # type: ignore[misc]
    yield "bmp-32", lambda: file_of(photo.convert("RGBA"), "BMP")


def gifs(photo: Image.Image) -> Iterator[Recipe]:
    yield "gif", lambda: file_of(photo.quantize(200), "GIF", comment=b"a comment")
    yield "gif-interlaced", lambda: file_of(photo.quantize(64), "GIF", interlace=True)
    frames = [frame.quantize(128) for frame in (photo, *moving(photo))]
    yield (
        "gif-animated",
        lambda: file_of(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=[80, 120, 90], loop=0),
    )
