"""Files to pixels and back: ``probe`` reads a header, ``decode`` the pixels, ``encode`` writes the same format again.

Nothing here imports torch, so the API may use it.
"""

from model.imaging.reading import Limits, Picture, Probe, decode, decode_mask, probe, probe_mask
from model.imaging.writing import encode

__all__ = ["Limits", "Picture", "Probe", "decode", "decode_mask", "encode", "probe", "probe_mask"]
