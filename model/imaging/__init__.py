"""Files to pixels and back. ``probe`` reads a header, ``coding.decode`` the pixels, ``coding.encode`` writes them back.

This package imports only what the API can afford; :mod:`model.imaging.coding` imports the decoders beyond Pillow.
"""

from model.imaging.mask_files import MaskProbe, check_fit, probe_mask
from model.imaging.probing import Limits, Probe, probe

__all__ = ["Limits", "MaskProbe", "Probe", "check_fit", "probe", "probe_mask"]
