"""The networks and everything that turns a picture and a mask into a clean picture: arrays in, arrays out.

Imports nothing else of the project. ``LaMaInpainter`` is the way through it::

    from model import LaMaInpainter
    inpainter = LaMaInpainter()
    clean = inpainter(image, mask)

The rooms: ``networks`` (FFC layers, LaMa, the network that ships, weights), ``engine`` (plans, batches, one device),
``imaging`` (files to arrays and back), ``repair`` (one picture from bytes to bytes), ``watermark`` (marks that many
pictures share), ``text`` (marks that are text), ``checkpoints`` (weights of other projects), ``training``.
``formats`` is the one table of formats, ``errors`` the one tree of errors. Begin with ``networks/ffc.py`` (the
layers), then ``engine/plan.py`` (where to look) and ``engine/engine.py`` (a device). torch is imported when an
inpainter is first asked for.
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
