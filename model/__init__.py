"""The networks and everything that turns a picture and a mask into a clean picture: arrays in, arrays out.

Imports nothing else of the project. Begin with ``ffc.py`` (the layers), then ``lama.py`` and ``fourier_unet.py``.
"""
