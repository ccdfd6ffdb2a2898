"""Writing a picture back in the format it came in, with its colour profile, EXIF and density.

JPEG keeps the source's quantisation tables and chroma sampling, so a file neither grows nor loses more than one
generation; PNG stays lossless.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.imaging.reading import TO_SEEN, Picture

#: How seen pixels go back to where they lay in the file: the inverse of ``TO_SEEN``.
_TO_STORED = TO_SEEN | {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}


def encode(picture: Picture, pixels: NDArray[np.uint8]) -> bytes:
    """``pixels`` (``uint8 [H, W, 3]``, as seen) as a file of the same kind as ``picture``."""
    image = Image.fromarray(pixels if picture.alpha is None else np.dstack((pixels, picture.alpha)))
    if picture.probe.mode in {"L", "LA", "1"}:
        # The network works in colour; a grey picture comes back grey.
        image = image.convert("L" if picture.alpha is None else "LA")
    turn = _TO_STORED.get(picture.orientation)
    if turn is not None:
        image = image.transpose(turn)
    out = io.BytesIO()
    image.save(out, picture.probe.format, **_options(picture))
    return out.getvalue()


def _options(picture: Picture) -> dict[str, Any]:
    kept = {name: picture.info[name] for name in ("icc_profile", "exif", "dpi") if picture.info.get(name)}
    if picture.probe.format == "JPEG":
        if picture.info.get("xmp"):
            kept["xmp"] = picture.info["xmp"]
        # A sampling that Pillow cannot name (-1) becomes 4:4:4, which loses nothing.
        subsampling = picture.subsampling if picture.subsampling in {0, 1, 2} else 0
        return {
            **kept,
            "qtables": picture.tables,
            "subsampling": subsampling,
            "progressive": bool(picture.info.get("progressive")),
            "optimize": True,
        }
    if picture.probe.format == "WEBP":
        if picture.info.get("xmp"):
            kept["xmp"] = picture.info["xmp"]
        return {**kept, "quality": 92, "method": 4, "lossless": picture.lossless, "exact": True}
    return kept
