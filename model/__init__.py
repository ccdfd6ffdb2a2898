"""The networks and everything that turns a picture and a mask into a clean picture: arrays in, arrays out.

Imports nothing else of the project. ``LaMaInpainter`` is the way through it::

    from model import LaMaInpainter
    inpainter = LaMaInpainter()
    clean = inpainter(image, mask)

To read it, begin with ``ffc.py`` (the layers), then ``lama.py`` and ``fourier_unet.py`` (the networks), ``plan.py``
(where to look), ``engine.py`` (a device). torch is imported when an inpainter is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.engine.inpainter import LaMaInpainter

__all__ = ["LaMaInpainter"]


def __getattr__(name: str) -> object:
    if name == "LaMaInpainter":
        from model.engine.inpainter import LaMaInpainter

        return LaMaInpainter
    raise AttributeError(f"module 'model' has no attribute {name!r}")
