"""Files to pixels and back. ``probe`` reads a header, ``coding.decode`` the pixels, ``coding.encode`` writes them back.

What is imported here is light enough for the API; decoders beyond Pillow are imported by :mod:`model.imaging.coding`.
"""

from model.imaging.mask_files import MaskProbe, check_fit, probe_mask
from model.imaging.probing import Limits, Probe, probe

__all__ = ["Limits", "MaskProbe", "Probe", "check_fit", "probe", "probe_mask"]
